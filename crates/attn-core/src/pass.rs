//! Whether a forward pass trains, and where its random draws come from.

use kernels::rng::{Domain, Key};

/// One forward pass through a model: evaluation, or training at one place of a run.
///
/// Dropout draws from (`seed`, `step`, site of the layer, element): two passes with
/// the same `Pass` drop the same elements, whatever the number of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    training: Option<(u64, u32)>,
}

impl Pass {
    /// A pass that drops nothing.
    pub fn eval() -> Self {
        Self { training: None }
    }

    /// A pass that trains. `step` numbers the forward passes of a run: with gradient
    /// accumulation every micro-batch has its own.
    pub fn train(seed: u64, step: u32) -> Self {
        Self {
            training: Some((seed, step)),
        }
    }

    /// Whether this pass trains.
    pub fn is_training(self) -> bool {
        self.training.is_some()
    }

    /// The stream of draws of the layer at `site`, if this pass trains.
    pub fn key(self, site: u32) -> Option<Key> {
        let (seed, step) = self.training?;
        Some(Key {
            seed,
            domain: Domain::Dropout,
            step,
            site,
        })
    }
}

/// Numbers a place of the model by its path, such as `blocks.0.attn`.
///
/// The first four bytes of a BLAKE3 hash: two of 1,000 places meet with a probability
/// of about 10⁻⁴, and all that happens then is that they drop alike.
pub fn site_of(path: &str) -> u32 {
    let [a, b, c, d, ..] = *blake3::hash(path.as_bytes()).as_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_numbers_of_their_own_and_keep_them() {
        assert_eq!(site_of("blocks.0.attn"), site_of("blocks.0.attn"));
        assert_ne!(site_of("blocks.0.attn"), site_of("blocks.1.attn"));
        assert_eq!(Pass::eval().key(1), None);
        let (a, b) = (Pass::train(1, 2).key(3), Pass::train(1, 3).key(3));
        assert!(a.is_some() && a != b);
    }
}
