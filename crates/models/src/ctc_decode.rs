//! From the symbols of every frame to labels: the other end of connectionist temporal
//! classification ([`kernels::ctc_loss`]).

use std::collections::HashMap;

/// The labels of the likeliest alignment: the likeliest symbol of every frame, of equally
/// likely ones the first, without repeats and then without blanks.
///
/// `scores` holds `n_symbols` numbers a frame, row after row: logits and logarithms of
/// probabilities serve alike.
///
/// # Panics
///
/// If `scores` are no whole number of rows.
pub fn greedy(scores: &[f32], n_symbols: usize, blank: u32) -> Vec<u32> {
    let mut labels = Vec::new();
    let mut last = None;
    for row in rows(scores, n_symbols) {
        let mut likeliest = 0;
        for (symbol, score) in row.iter().enumerate() {
            if *score > row[likeliest] {
                likeliest = symbol;
            }
        }
        let symbol = likeliest as u32;
        if symbol != blank && last != Some(symbol) {
            labels.push(symbol);
        }
        last = Some(symbol);
    }
    labels
}

/// Labels, and how likely all their alignments together are.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// The symbols, without blanks.
    pub labels: Vec<u32>,
    /// `ln` of the summed probability of those of their alignments that the search saw:
    /// all of them if nothing was cut off, else fewer.
    pub log_probability: f64,
}

/// The likeliest label sequences, the likeliest first, by prefix beam search: after every
/// frame the `width` likeliest beginnings are kept, each with the alignments that leave it
/// added up. Graves 2012, §7.5.3 <https://www.cs.toronto.edu/~graves/preprint.pdf>, in the
/// form of Hannun et al. 2014 <https://arxiv.org/abs/1408.2873> without a language model.
///
/// `scores` holds `n_symbols` numbers a frame, row after row: logits and logarithms of
/// probabilities serve alike. Of equally likely beginnings those found first are kept. A
/// width of 0 counts as 1.
///
/// # Panics
///
/// If `scores` are no whole number of rows.
pub fn beam(scores: &[f32], n_symbols: usize, blank: u32, width: usize) -> Vec<Hypothesis> {
    let mut prefixes = Prefixes::default();
    let mut kept = vec![Beginning {
        prefix: Prefixes::EMPTY,
        in_blank: 0.0,
        in_label: f64::NEG_INFINITY,
    }];
    for row in rows(scores, n_symbols) {
        let log_p = log_softmax(row);
        let mut next = Frontier::default();
        for old in &kept {
            let last = prefixes.last(old.prefix);
            for (symbol, &log_p) in (0..).zip(&log_p) {
                if symbol == blank {
                    let in_blank = log_p + old.total();
                    next.add(old.prefix, in_blank, f64::NEG_INFINITY);
                    continue;
                }
                let longer = prefixes.longer(old.prefix, symbol);
                let in_label = match last == Some(symbol) {
                    true => {
                        // A repeat, unless a blank came between.
                        next.add(old.prefix, f64::NEG_INFINITY, log_p + old.in_label);
                        log_p + old.in_blank
                    }
                    false => log_p + old.total(),
                };
                next.add(longer, f64::NEG_INFINITY, in_label);
            }
        }
        kept = next.likeliest(width.max(1));
    }
    let hypothesis = |beginning: &Beginning| Hypothesis {
        labels: prefixes.labels(beginning.prefix),
        log_probability: beginning.total(),
    };
    kept.iter().map(hypothesis).collect()
}

fn rows(scores: &[f32], n_symbols: usize) -> std::slice::ChunksExact<'_, f32> {
    assert!(
        n_symbols > 0 && scores.len().is_multiple_of(n_symbols),
        "{} scores are no rows of {n_symbols} symbols",
        scores.len()
    );
    scores.chunks_exact(n_symbols)
}

fn log_softmax(row: &[f32]) -> Vec<f64> {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let above = |x: f32| f64::from(x) - f64::from(largest);
    let log_total = row.iter().map(|&x| above(x).exp()).sum::<f64>().ln();
    row.iter().map(|&x| above(x) - log_total).collect()
}

/// `ln(e^a + e^b)`
fn log_sum(a: f64, b: f64) -> f64 {
    let largest = a.max(b);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + ((a - largest).exp() + (b - largest).exp()).ln()
}

/// A beginning of the labels, and `ln` of the probability of the alignments that leave it
/// and end in a blank, and in its last label.
#[derive(Debug, Clone, Copy)]
struct Beginning {
    prefix: usize,
    in_blank: f64,
    in_label: f64,
}

impl Beginning {
    fn total(&self) -> f64 {
        log_sum(self.in_blank, self.in_label)
    }
}

/// The beginnings after one frame, in the order in which they were found.
#[derive(Default)]
struct Frontier {
    found: Vec<Beginning>,
    places: HashMap<usize, usize>,
}

impl Frontier {
    fn add(&mut self, prefix: usize, in_blank: f64, in_label: f64) {
        let place = *self.places.entry(prefix).or_insert_with(|| {
            self.found.push(Beginning {
                prefix,
                in_blank: f64::NEG_INFINITY,
                in_label: f64::NEG_INFINITY,
            });
            self.found.len() - 1
        });
        let beginning = &mut self.found[place];
        beginning.in_blank = log_sum(beginning.in_blank, in_blank);
        beginning.in_label = log_sum(beginning.in_label, in_label);
    }

    fn likeliest(mut self, n: usize) -> Vec<Beginning> {
        // Stable: equally likely ones stay in their order.
        self.found.sort_by(|a, b| b.total().total_cmp(&a.total()));
        self.found.retain(|found| found.total() > f64::NEG_INFINITY);
        self.found.truncate(n);
        self.found
    }
}

/// Label sequences as a tree: each is one longer than another.
#[derive(Default)]
struct Prefixes {
    /// The shorter sequence, and the label added to it; number 0 is the empty one.
    nodes: Vec<(usize, u32)>,
    known: HashMap<(usize, u32), usize>,
}

impl Prefixes {
    const EMPTY: usize = 0;

    /// The sequence `prefix` with `label` added.
    fn longer(&mut self, prefix: usize, label: u32) -> usize {
        *self.known.entry((prefix, label)).or_insert_with(|| {
            self.nodes.push((prefix, label));
            self.nodes.len()
        })
    }

    fn last(&self, prefix: usize) -> Option<u32> {
        Some(self.nodes.get(prefix.checked_sub(1)?)?.1)
    }

    fn labels(&self, mut prefix: usize) -> Vec<u32> {
        let mut labels = Vec::new();
        while prefix != Self::EMPTY {
            let (shorter, label) = self.nodes[prefix - 1];
            labels.push(label);
            prefix = shorter;
        }
        labels.reverse();
        labels
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Result, Tensor};
    use testkit::{oracle, randn};

    use super::*;

    fn scores(seed: u64, frames: usize, symbols: usize) -> Result<Vec<f32>> {
        let scores = (randn(seed, frames * symbols)? * 2.0)?;
        scores.to_dtype(DType::F32)?.to_vec1()
    }

    #[test]
    fn greedy_removes_repeats_then_blanks() {
        let frames = [1, 1, 0, 1, 2, 2, 0, 0];
        let row = |symbol: usize| (0..3).map(move |i| if i == symbol { 1.0 } else { 0.0 });
        let scores: Vec<f32> = frames.iter().flat_map(|&symbol| row(symbol)).collect();
        assert_eq!(greedy(&scores, 3, 0), [1, 1, 2]);
        assert_eq!(greedy(&scores, 3, 2), [1, 0, 1, 0]);
        assert!(greedy(&[], 3, 0).is_empty());
        assert_eq!(greedy(&[1.0, 1.0, 1.0], 3, 2), [0], "of equals the first");
    }

    /// A beam that nothing is cut off finds every label sequence, each with the
    /// probability that the loss gives it.
    #[test]
    fn a_wide_beam_finds_all_label_sequences_with_their_probabilities() -> Result<()> {
        for (seed, blank) in [(1, 0), (2, 1), (3, 2)] {
            let scores = scores(seed, 4, 3)?;
            let logits = Tensor::from_slice(&scores, (4, 3), &Device::Cpu)?;
            let found = beam(&scores, 3, blank, 1000);
            let mut total = 0.0;
            for Hypothesis {
                labels,
                log_probability,
            } in &found
            {
                let want = -oracle::ctc_by_enumeration(&logits, labels, blank)?;
                assert!((log_probability - want).abs() < 1e-6, "{labels:?}");
                total += log_probability.exp();
            }
            assert!((total - 1.0).abs() < 1e-6, "{total}");
            assert!(found.is_sorted_by(|a, b| a.log_probability >= b.log_probability));
        }
        Ok(())
    }

    /// Two frames, blank 0.6 and 0.6: the likeliest alignment is all blank, 0.36, but
    /// `a-`, `-a` and `aa` together are 0.64.
    #[test]
    fn a_beam_adds_up_what_greedy_cannot() {
        let (blank, label) = (0.6f32.ln(), 0.4f32.ln());
        let scores = [blank, label, blank, label];
        assert!(greedy(&scores, 2, 0).is_empty());
        let best = &beam(&scores, 2, 0, 2)[0];
        assert_eq!(best.labels, [1]);
        assert!((best.log_probability.exp() - 0.64).abs() < 1e-6);
    }

    #[test]
    fn a_wider_beam_finds_labels_at_least_as_likely() -> Result<()> {
        let scores = scores(5, 30, 6)?;
        let best = |width| beam(&scores, 6, 0, width)[0].log_probability;
        let widths = [1, 4, 16, 64].map(best);
        assert!(widths.is_sorted(), "{widths:?}");
        assert_eq!(beam(&scores, 6, 0, 0), beam(&scores, 6, 0, 1));
        assert_eq!(beam(&scores, 6, 0, 16).len(), 16);
        Ok(())
    }

    #[test]
    fn symbols_without_probability_and_no_frames_are_no_trouble() {
        let never = f32::NEG_INFINITY;
        let found = beam(&[0.0, never, never, 0.0], 2, 0, 5);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (&found[0].labels[..], found[0].log_probability),
            (&[1][..], 0.0)
        );
        let none = beam(&[], 2, 0, 5);
        assert_eq!(
            (&none[0].labels[..], none[0].log_probability),
            (&[][..], 0.0)
        );
    }
}
