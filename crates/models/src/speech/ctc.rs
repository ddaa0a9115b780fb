//! Which symbols does this recording spell?

use attn_core::input::Rows;
use attn_core::{Linear, Mask, Pass, Pattern, Stack, Targets};
use candle_core::{DType, Error, Result, Tensor, bail};
use candle_nn::VarBuilder;
use kernels::{Ctc, LabelSequences};

use super::trunk::Trunk;
use crate::ModelConfig;
use crate::ctc_decode::{beam, greedy};
use crate::evaluation::{Edits, Evaluation, Outcome};
use crate::first_weights::first_weights;
use crate::objective::LossOptions;

/// A recogniser of speech: blocks, and at every position a choice among the symbols and
/// the blank, which is no symbol; trained without knowing which frame spells what (Graves
/// et al. 2006 <https://www.cs.toronto.edu/~graves/icml_2006.pdf>).
///
/// Parameters, under the prefix of the builder: as of
/// [`SpeechClassifier`](super::SpeechClassifier), but `head` has one row more than there
/// are symbols: the last, for the blank.
#[derive(Debug, Clone)]
pub struct SpeechCtc {
    trunk: Trunk,
    head: Linear,
    /// The number of the blank, which is also how many symbols there are.
    blank: usize,
    /// The number of the symbol that stands between words, if any does.
    word_separator: Option<u32>,
}

impl SpeechCtc {
    /// Creates the model, taking its parameters from `vb`.
    ///
    /// # Errors
    ///
    /// If `config` is of another modality, a size is still left to the data, or `vb` lacks
    /// a parameter or has it in another shape.
    pub fn new(config: &ModelConfig, vb: VarBuilder) -> Result<Self> {
        let Some(n_symbols) = config.n_classes().map_err(Error::wrap)? else {
            bail!("kind = \"{}\" has no symbols", config.kind());
        };
        let (d_model, bias) = (config.d_model(), config.bias());
        let init = first_weights(config);
        Ok(Self {
            trunk: Trunk::new(config, vb.clone())?,
            head: Linear::new(d_model, n_symbols + 1, bias, init, vb.pp("head"))?,
            blank: n_symbols,
            word_separator: config
                .speech()
                .and_then(|speech| speech.word_separator())
                .map(|symbol| symbol as u32),
        })
    }

    /// Scores of every symbol and, last, of the blank, at every position.
    ///
    /// # Shapes
    ///
    /// - `frames`: `[n, n_features]`, the packed recordings of `mask`
    /// - returns: `[m, n_classes + 1]`, `⌈n / stride⌉` positions a recording
    ///
    /// # Errors
    ///
    /// As [`SpeechClassifier::logits`](super::SpeechClassifier::logits).
    pub fn logits(&self, frames: &Rows, mask: &Mask, pass: Pass) -> Result<Tensor> {
        Ok(self.scores(frames, mask, pass)?.0)
    }

    /// Mean surprise at the sequences, in nats a sequence.
    ///
    /// # Shapes
    ///
    /// - `frames`: `[n, n_features]`, the packed recordings of `mask`
    /// - `targets`: sequences, one a recording
    /// - returns: a scalar
    ///
    /// # Errors
    ///
    /// As [`SpeechCtc::logits`], a target that is no symbol, and a recording with fewer
    /// positions than its symbols need.
    pub fn loss(
        &self,
        frames: &Rows,
        mask: &Mask,
        targets: &Targets,
        options: LossOptions,
        pass: Pass,
    ) -> Result<Tensor> {
        let (logits, mask) = self.scores(frames, mask, pass)?;
        let objective = Ctc {
            blank: self.blank as u32,
            divisor: options.divisor,
            zero_infinity: false,
        };
        kernels::ctc_loss(&logits, mask.cu_seqlens(), sequences(targets)?, &objective)
    }

    /// Surprise at the sequences, and how many symbols of the likeliest path are wrong;
    /// also how many words, where a symbol stands between words.
    ///
    /// # Errors
    ///
    /// As [`SpeechCtc::loss`].
    pub fn evaluate(&self, frames: &Rows, mask: &Mask, targets: &Targets) -> Result<Evaluation> {
        let (logits, mask) = self.scores(frames, mask, Pass::eval())?;
        let wanted = sequences(targets)?;
        let losses = kernels::ctc_losses(&logits, mask.cu_seqlens(), wanted, self.blank as u32)?;
        let scores = Scores::of(&logits)?;
        let (mut edits, mut n_correct, mut start) = (Edits::default(), 0, 0);
        for (wall, &end) in mask.cu_seqlens().windows(2).zip(wanted.ends) {
            let spelt = greedy(scores.between(wall), scores.n_symbols, self.blank as u32);
            let right = &wanted.labels[start..end as usize];
            start = end as usize;
            edits.add(&spelt, right, self.word_separator);
            n_correct += usize::from(spelt == right);
        }
        Ok(Evaluation {
            loss_sum: losses.iter().sum(),
            n_targets: losses.len(),
            n_correct,
            outcome: Outcome::Edits(edits),
        })
    }

    /// The likeliest symbols of every recording, found among `width` at a time: see
    /// [`beam`]. With a width of 1, those of the likeliest
    /// path, which is quicker.
    ///
    /// # Errors
    ///
    /// As [`SpeechCtc::logits`].
    pub fn spell(&self, frames: &Rows, mask: &Mask, width: usize) -> Result<Vec<Vec<u32>>> {
        let (logits, mask) = self.scores(frames, mask, Pass::eval())?;
        let scores = Scores::of(&logits)?;
        let (n_symbols, blank) = (scores.n_symbols, self.blank as u32);
        let spell = |wall: &[u32]| match width {
            0 | 1 => greedy(scores.between(wall), n_symbols, blank),
            _ => {
                let found = beam(scores.between(wall), n_symbols, blank, width);
                found
                    .into_iter()
                    .next()
                    .map_or(Vec::new(), |best| best.labels)
            }
        };
        Ok(mask.cu_seqlens().windows(2).map(spell).collect())
    }

    /// What a position may read of its own recording.
    pub fn pattern(&self) -> &Pattern {
        self.trunk.pattern()
    }

    /// Longest recording, in positions.
    pub fn max_seq_len(&self) -> usize {
        self.trunk.max_seq_len()
    }

    /// The blocks of attention, if the model has any, to look at.
    pub fn stack(&self) -> Option<&Stack> {
        self.trunk.stack()
    }

    fn scores(&self, frames: &Rows, mask: &Mask, pass: Pass) -> Result<(Tensor, Mask)> {
        let (x, mask) = self.trunk.forward(frames, mask, pass)?;
        Ok((self.head.forward_with(&x, None, None)?, mask))
    }
}

/// Scores of the symbols, row after row.
struct Scores {
    values: Vec<f32>,
    n_symbols: usize,
}

impl Scores {
    fn of(logits: &Tensor) -> Result<Self> {
        let (_, n_symbols) = logits.dims2()?;
        let values = logits.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        Ok(Self { values, n_symbols })
    }

    /// Those of the recording between two walls.
    fn between(&self, wall: &[u32]) -> &[f32] {
        &self.values[wall[0] as usize * self.n_symbols..wall[1] as usize * self.n_symbols]
    }
}

fn sequences(targets: &Targets) -> Result<LabelSequences<'_>> {
    match targets {
        Targets::Sequences { labels, ends } => Ok(LabelSequences { labels, ends }),
        other => bail!("a recording cannot be spelt as {other:?}"),
    }
}
