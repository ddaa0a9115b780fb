//! The loss against its definition, differences, and what probabilities must do.

use candle_core::{DType, Result, Tensor, Var};
use testkit::{assert_close, gradcheck, oracle, rand_ids, randn, reach};

use super::*;

const BLANK: u32 = 1;

/// The message of an error, without the backtrace that the environment may ask for.
#[track_caller]
fn refusal<T: std::fmt::Debug>(result: Result<T>) -> String {
    let text = result.unwrap_err().to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

fn options() -> Ctc {
    Ctc {
        blank: BLANK,
        ..Ctc::default()
    }
}

/// `n` labels that are not the blank, of `n_symbols`.
fn labels(seed: u64, n: usize, n_symbols: u32) -> Vec<u32> {
    let label = |id: u32| id + u32::from(id >= BLANK);
    rand_ids(seed, n, n_symbols - 1)
        .into_iter()
        .map(label)
        .collect()
}

/// Frames and labels of a batch: `(frames, labels)` of each sequence.
struct Batch {
    logits: Tensor,
    cu_seqlens: Vec<u32>,
    labels: Vec<u32>,
    ends: Vec<u32>,
}

impl Batch {
    fn new(n_symbols: u32, sequences: &[(usize, &[u32])]) -> Result<Self> {
        let (mut cu_seqlens, mut ends, mut labels) = (vec![0], vec![], vec![]);
        let mut n = 0;
        for (frames, of_sequence) in sequences {
            n += frames;
            cu_seqlens.push(n as u32);
            labels.extend_from_slice(of_sequence);
            ends.push(labels.len() as u32);
        }
        Ok(Self {
            logits: (randn(1, (n, n_symbols as usize))? * 2.0)?,
            cu_seqlens,
            labels,
            ends,
        })
    }

    fn targets(&self) -> LabelSequences<'_> {
        LabelSequences {
            labels: &self.labels,
            ends: &self.ends,
        }
    }

    fn loss(&self, logits: &Tensor, options: &Ctc) -> Result<Tensor> {
        ctc_loss(logits, &self.cu_seqlens, self.targets(), options)
    }

    fn losses(&self, logits: &Tensor) -> Result<Vec<f64>> {
        ctc_losses(logits, &self.cu_seqlens, self.targets(), BLANK)
    }

    /// The loss of each sequence, by `definition(logits, labels, blank)`.
    fn want(&self, definition: impl Fn(&Tensor, &[u32], u32) -> Result<f64>) -> Result<Vec<f64>> {
        let mut start = 0;
        let walls = self.cu_seqlens.windows(2).zip(&self.ends);
        walls
            .map(|(walls, &end)| {
                let frames = (walls[1] - walls[0]) as usize;
                let logits = self.logits.narrow(0, walls[0] as usize, frames)?;
                let from = std::mem::replace(&mut start, end as usize);
                definition(&logits, &self.labels[from..end as usize], BLANK)
            })
            .collect()
    }
}

#[track_caller]
fn assert_near(got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let close = got == want || (got - want).abs() <= tolerance * want.abs().max(1.0);
        assert!(close, "sequence {i}: got {got}, want {want}");
    }
}

/// No labels, one, equal neighbours, just frames enough, too few, no frames at all.
fn tiny() -> Result<Batch> {
    Batch::new(
        4,
        &[
            (3, &[]),
            (4, &[0]),
            (5, &[2, 2]),
            (3, &[0, 0]),
            (6, &[3, 0, 3]),
            (2, &[3, 0, 3]),
            (0, &[]),
            (0, &[2]),
        ],
    )
}

#[test]
fn oracle_every_alignment_of_tiny_sequences() -> Result<()> {
    let batch = tiny()?;
    let want = batch.want(oracle::ctc_by_enumeration)?;
    assert_eq!(want[5], f64::INFINITY);
    assert_eq!((want[6], want[7]), (0.0, f64::INFINITY));
    assert_near(&batch.losses(&batch.logits)?, &want, 1e-13);
    // A softmax in f32 errs by about an ulp a frame.
    let single = batch.logits.to_dtype(DType::F32)?;
    assert_near(&batch.losses(&single)?, &want, 1e-6);
    Ok(())
}

#[test]
fn oracle_longer_sequences_in_both_types() -> Result<()> {
    let n_symbols = 37;
    let (long, short) = (labels(1, 20, n_symbols), labels(2, 3, n_symbols));
    let batch = Batch::new(
        n_symbols,
        &[(70, &long), (5, &short), (65, &[]), (40, &long)],
    )?;
    let want = batch.want(oracle::ctc)?;
    let mean = Tensor::new(want.iter().sum::<f64>() / 4.0, batch.logits.device())?;
    // 70 frames, each with the error of a softmax in f32: 70 ulp, at a loss of about 200.
    for (dtype, tolerance) in [(DType::F64, 1e-13), (DType::F32, 1e-6)] {
        let logits = batch.logits.to_dtype(dtype)?;
        assert_near(&batch.losses(&logits)?, &want, tolerance);
        assert_close(&batch.loss(&logits, &options())?, &mean, tolerance)?;
        let divided = Ctc {
            divisor: Some(8.0),
            ..options()
        };
        assert_close(&(batch.loss(&logits, &divided)? * 2.0)?, &mean, tolerance)?;
    }
    Ok(())
}

#[test]
fn the_gradient_matches_differences() -> Result<()> {
    for sequences in [
        &[(4, &[0][..]), (3, &[]), (5, &[2, 2]), (3, &[0, 2, 3])][..],
        &[(7, &[3, 3, 0, 2])],
    ] {
        let batch = Batch::new(4, sequences)?;
        let logits = Var::from_tensor(&batch.logits)?;
        gradcheck(&logits, |logits| batch.loss(logits, &options()))?;
    }
    Ok(())
}

#[test]
fn the_gradient_in_single_precision_is_that_in_double() -> Result<()> {
    let n_symbols = 30;
    let labels = labels(1, 12, n_symbols);
    let batch = Batch::new(n_symbols, &[(50, &labels), (31, &labels)])?;
    let grad = |dtype| -> Result<Tensor> {
        let logits = Var::from_tensor(&batch.logits.to_dtype(dtype)?)?;
        let grads = batch.loss(&logits, &options())?.backward()?;
        Ok(grads.get(logits.as_tensor()).unwrap().clone())
    };
    // Each is a difference of two probabilities; a share of alignments has the error of
    // as many softmaxes as there are frames.
    assert_close(&grad(DType::F32)?, &grad(DType::F64)?, 5e-6)
}

#[test]
fn the_logits_are_reached() -> Result<()> {
    let batch = Batch::new(4, &[(4, &[0, 2])])?;
    let logits = Var::from_tensor(&batch.logits)?;
    reach(&batch.loss(&logits, &options())?, [("logits", &logits)])
}

/// Every alignment leaves some labels: the probabilities of all label sequences that
/// three frames can spell add up to one.
#[test]
fn all_label_sequences_together_have_probability_one() -> Result<()> {
    let mut all = vec![vec![]];
    for n in 0..3 {
        let longer = all.iter().filter(|labels: &&Vec<u32>| labels.len() == n);
        let longer: Vec<_> = longer
            .flat_map(|labels| [0, 2].map(|label| [&labels[..], &[label]].concat()))
            .collect();
        all.extend(longer);
    }
    assert_eq!(all.len(), 15);
    let logits = randn(3, (3, 3))?;
    let mut total = 0.0;
    for labels in &all {
        let ends = [labels.len() as u32];
        let targets = LabelSequences {
            labels,
            ends: &ends,
        };
        total += (-ctc_losses(&logits, &[0, 3], targets, BLANK)?[0]).exp();
    }
    assert!((total - 1.0).abs() < 1e-14, "{total}");
    Ok(())
}

#[test]
fn a_number_added_to_all_logits_of_a_frame_changes_nothing() -> Result<()> {
    let batch = tiny()?;
    let shift = (randn(5, (batch.logits.dim(0)?, 1))? * 10.0)?;
    let shifted = batch.logits.broadcast_add(&shift)?;
    assert_near(
        &batch.losses(&shifted)?,
        &batch.losses(&batch.logits)?,
        1e-12,
    );
    Ok(())
}

#[test]
fn sequences_do_not_see_each_other() -> Result<()> {
    let both = Batch::new(4, &[(5, &[0, 2]), (6, &[3])])?;
    let alone = Batch::new(4, &[(5, &[0, 2])])?;
    let (two, one) = (both.losses(&both.logits)?, alone.losses(&alone.logits)?);
    assert_eq!(two[0].to_bits(), one[0].to_bits());
    Ok(())
}

/// Long enough that probabilities underflow, with logits that are nearly certain.
#[test]
fn thousands_of_certain_frames_stay_finite_and_gradients_of_a_row_cancel() -> Result<()> {
    let labels = labels(1, 300, 12);
    let batch = Batch::new(12, &[(4000, &labels)])?;
    let logits = (batch.logits.to_dtype(DType::F32)? * 30.0)?;
    let logits = Var::from_tensor(&logits)?;
    let loss = batch.loss(&logits, &options())?;
    assert!(loss.to_scalar::<f32>()?.is_finite());
    let grads = loss.backward()?;
    let of_rows = grads.get(logits.as_tensor()).unwrap().sum(1)?;
    // Twelve terms of at most one.
    assert_close(&of_rows, &of_rows.zeros_like()?, 1e-5)
}

#[test]
fn what_cannot_be_aligned_is_named_or_costs_nothing() -> Result<()> {
    let batch = Batch::new(4, &[(5, &[0, 2]), (3, &[2, 2, 0])])?;
    let error = refusal(batch.loss(&batch.logits, &options()));
    let want = "ctc: sequence 1 has 3 frames, but its 3 labels need 4; subsample less, drop it, \
                or set zero_infinity";
    assert_eq!(error, want);

    let options = Ctc {
        zero_infinity: true,
        ..options()
    };
    let logits = Var::from_tensor(&batch.logits)?;
    let loss = batch.loss(&logits, &options)?;
    assert_eq!(loss.to_scalar::<f64>()?, batch.losses(&logits)?[0]);
    let grads = loss.backward()?;
    let grad = grads.get(logits.as_tensor()).unwrap().to_vec2::<f64>()?;
    assert!(grad[..5].iter().flatten().all(|&g| g != 0.0));
    assert!(grad[5..].iter().flatten().all(|&g| g == 0.0));

    let none = Batch::new(4, &[(1, &[2, 2])])?;
    assert!(
        none.loss(&none.logits, &options)?
            .to_scalar::<f64>()?
            .is_nan()
    );
    Ok(())
}

#[test]
fn labels_without_probability_are_named() -> Result<()> {
    let batch = Batch::new(3, &[(2, &[0])])?;
    let never = Tensor::new(&[[f64::NEG_INFINITY, 0.0, 0.0]; 2], batch.logits.device())?;
    let error = refusal(batch.loss(&never, &options()));
    assert!(
        error.starts_with("ctc: the labels of sequence 0 have probability 0"),
        "{error}"
    );
    assert_eq!(batch.losses(&never)?, [f64::INFINITY]);
    Ok(())
}

#[test]
fn a_broken_logit_does_not_look_like_a_small_one() -> Result<()> {
    let batch = Batch::new(3, &[(3, &[0, 2])])?;
    let nan = (batch.logits.ones_like()? * f64::NAN)?;
    assert!(batch.losses(&nan)?[0].is_nan());
    Ok(())
}

#[test]
fn sizes_and_symbols_out_of_range_are_named() -> Result<()> {
    let logits = randn(1, (4, 3))?;
    let refused = |walls: &[u32], labels: &[u32], ends: &[u32], blank| {
        let targets = LabelSequences { labels, ends };
        let options = Ctc {
            blank,
            ..Ctc::default()
        };
        refusal(ctc_loss(&logits, walls, targets, &options))
    };
    for (walls, labels, ends, blank, want) in [
        (
            &[0, 4][..],
            &[0, 3][..],
            &[2][..],
            1,
            "label 3 of sequence 0 is not below 3 symbols",
        ),
        (
            &[0, 2, 4],
            &[0, 1],
            &[1, 2],
            1,
            "label 1 of sequence 1 is the blank",
        ),
        (&[0, 4], &[0], &[1], 3, "blank = 3 is not below 3 symbols"),
        (
            &[0, 4],
            &[0],
            &[1, 1],
            1,
            "1 sequences of frames, 2 of labels",
        ),
        (
            &[0, 2, 4],
            &[0],
            &[1, 0],
            1,
            "the ends [1, 0] do not rise to 1 labels",
        ),
        (
            &[0, 4],
            &[0, 0],
            &[1],
            1,
            "the ends [1] do not rise to 2 labels",
        ),
        (
            &[0, 3],
            &[0],
            &[1],
            1,
            "the segments end at 3, there are 4 rows",
        ),
    ] {
        assert_eq!(refused(walls, labels, ends, blank), format!("ctc: {want}"));
    }
    for divisor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let batch = Batch::new(3, &[(3, &[0])])?;
        let options = Ctc {
            divisor: Some(divisor),
            ..options()
        };
        assert!(batch.loss(&batch.logits, &options).is_err(), "{divisor}");
    }
    Ok(())
}
