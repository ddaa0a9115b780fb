//! What the model reads of a text that grows.

use candle_core::{DType, Result};
use models::text::{Cache, CausalLm};

/// The first token that is read when `n` tokens are there and at most `longest` can be.
///
/// Up to `longest`, all are read. Beyond that, the window starts at a multiple of half its
/// length (rounded up), the first that leaves no more than `longest`: it loses its older
/// half, grows to its full length, and so on. Sliding by one token a step would read every
/// token at a new position every time, so that nothing of the cache could be kept; this way
/// a token is read twice on average, and what is read is still a function of `n` alone.
pub(super) fn start(n: usize, longest: usize) -> usize {
    let hop = longest.div_ceil(2);
    n.saturating_sub(longest).div_ceil(hop) * hop
}

/// A language model in the middle of a text.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    model: &'a CausalLm,
    cache: Cache,
    /// The tokens of `window_start..window_start + cached` of the text are in the cache.
    window_start: usize,
    cached: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(model: &'a CausalLm) -> Self {
        Self {
            model,
            cache: model.cache(),
            window_start: 0,
            cached: 0,
        }
    }

    /// Scores of every token to come behind `text`, which begins with the text that was
    /// read last.
    pub(crate) fn read(&mut self, text: &[u32]) -> Result<Vec<f32>> {
        let start = start(text.len(), self.model.max_seq_len());
        if start != self.window_start {
            self.cache.clear();
            (self.window_start, self.cached) = (start, 0);
        }
        let new = &text[start + self.cached..];
        let logits = self.model.decode(new.into(), &mut self.cache)?;
        self.cached += new.len();
        logits.to_dtype(DType::F32)?.to_vec1()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_full_halves_and_fills_again() {
        let starts: Vec<usize> = (0..=14).map(|n| start(n, 4)).collect();
        assert_eq!(starts, [0, 0, 0, 0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10]);
        let starts: Vec<usize> = (0..=9).map(|n| start(n, 5)).collect();
        assert_eq!(starts, [0, 0, 0, 0, 0, 0, 3, 3, 3, 6]);
        for longest in 1..20 {
            for n in 1..200 {
                let left = n - start(n, longest);
                assert!((1..=longest).contains(&left), "{left} of {n} by {longest}");
                assert!(
                    n <= longest || 2 * left >= longest,
                    "{left} of {n} by {longest}"
                );
            }
        }
    }
}
