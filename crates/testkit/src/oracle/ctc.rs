//! Connectionist temporal classification, by enumeration and by recursion.

use candle_core::{Result, Tensor};

use super::loss::softmax;
use super::rows::{Rows, rows};

/// Surprise at `labels`, in nats: `−ln` of the summed probability of all alignments that
/// leave them, each of which is tried. Infinite if there is none.
///
/// There are `n_symbols ^ n_frames` alignments: for tiny sizes only.
///
/// # Shapes
///
/// - `logits`: `[n_frames, n_symbols]`
///
/// # Errors
///
/// Those of the conversion from a tensor.
pub fn ctc_by_enumeration(logits: &Tensor, labels: &[u32], blank: u32) -> Result<f64> {
    let (n_frames, n_symbols) = logits.dims2()?;
    let p = probabilities(logits)?;
    let mut total = 0.0;
    for mut number in 0..n_symbols.pow(n_frames as u32) {
        let mut alignment = Vec::new();
        for _ in 0..n_frames {
            alignment.push((number % n_symbols) as u32);
            number /= n_symbols;
        }
        if ctc_collapse(&alignment, blank) == labels {
            let terms = p.iter().zip(&alignment);
            total += terms
                .map(|(p, &symbol)| p[symbol as usize])
                .product::<f64>();
        }
    }
    Ok(surprise(total))
}

/// What an alignment leaves: repeats are removed, then blanks.
pub fn ctc_collapse(alignment: &[u32], blank: u32) -> Vec<u32> {
    let mut alignment = alignment.to_vec();
    alignment.dedup();
    alignment.retain(|&symbol| symbol != blank);
    alignment
}

/// As [`ctc_by_enumeration`], frame by frame: for every number of labels spelt so far,
/// the probability that the last frame was a blank, and that it was the last label.
///
/// Multiplies probabilities as they are, which for hundreds of frames underflow.
///
/// # Shapes
///
/// - `logits`: `[n_frames, n_symbols]`
///
/// # Errors
///
/// Those of the conversion from a tensor.
pub fn ctc(logits: &Tensor, labels: &[u32], blank: u32) -> Result<f64> {
    let n = labels.len();
    let (mut in_blank, mut in_label) = (vec![0.0; n + 1], vec![0.0; n + 1]);
    in_blank[0] = 1.0;
    for p in probabilities(logits)? {
        let (blank_before, label_before) = (in_blank.clone(), in_label.clone());
        for spelt in 0..=n {
            in_blank[spelt] = (blank_before[spelt] + label_before[spelt]) * p[blank as usize];
            if spelt == 0 {
                continue;
            }
            let label = labels[spelt - 1];
            let mut ways = label_before[spelt] + blank_before[spelt - 1];
            if spelt == 1 || labels[spelt - 2] != label {
                ways += label_before[spelt - 1];
            }
            in_label[spelt] = ways * p[label as usize];
        }
    }
    Ok(surprise(in_blank[n] + in_label[n]))
}

fn probabilities(logits: &Tensor) -> Result<Rows> {
    Ok(rows(logits)?.iter().map(|row| softmax(row)).collect())
}

fn surprise(probability: f64) -> f64 {
    match probability {
        0.0 => f64::INFINITY,
        p => -p.ln(),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::randn;

    #[test]
    fn repeats_then_blanks_are_removed() {
        assert_eq!(ctc_collapse(&[0, 1, 1, 0, 1, 2, 2, 0], 0), [1, 1, 2]);
    }

    /// Two frames, even chances: `aa`, `a-` and `-a` of nine leave `a`.
    #[test]
    fn two_even_frames_leave_one_label_three_times_in_nine() -> Result<()> {
        let logits = Tensor::zeros((2, 3), candle_core::DType::F64, &Device::Cpu)?;
        assert!((ctc_by_enumeration(&logits, &[1], 0)? - 3f64.ln()).abs() < 1e-15);
        assert_eq!(ctc_by_enumeration(&logits, &[1, 1], 0)?, f64::INFINITY);
        Ok(())
    }

    #[test]
    fn both_definitions_agree() -> Result<()> {
        let logits = randn(1, (6, 3))?;
        for labels in [&[][..], &[0], &[2, 2], &[0, 2, 0], &[2, 2, 0, 0], &[0; 4]] {
            let (a, b) = (
                ctc_by_enumeration(&logits, labels, 1)?,
                ctc(&logits, labels, 1)?,
            );
            assert!(a == b || (a - b).abs() < 1e-13, "{labels:?}: {a}, {b}");
        }
        Ok(())
    }
}
