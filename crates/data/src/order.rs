//! The order in which samples are visited: a pure function, without memory.
//!
//! A shuffle of `len` samples is a bijection of `0..len` that can be evaluated
//! at any position at once: a Feistel network over the smallest even number of
//! bits that holds `len`, applied again while its result falls outside
//! (cycle-walking; Black and Rogaway 2002, "Ciphers with arbitrary finite
//! domains" <https://doi.org/10.1007/3-540-45760-7_9>). A run that stops at a
//! position and one that never stopped visit the same samples, and nothing but
//! the position has to be remembered.

/// Rounds of the network. Four make it a pseudorandom permutation in theory;
/// small domains, which have few round inputs, mix better with more.
const ROUNDS: usize = 8;

/// The shuffle of one epoch.
#[derive(Debug, Clone)]
pub struct Permutation {
    len: u64,
    half: u32,
    keys: [u64; ROUNDS],
}

impl Permutation {
    /// The shuffle of `0..len` that belongs to `seed` and `epoch`.
    pub fn new(seed: u64, epoch: u64, len: u64) -> Self {
        let bits = u64::BITS - len.saturating_sub(1).leading_zeros();
        Self {
            len,
            half: bits.div_ceil(2).max(1),
            keys: stream("order", seed, epoch),
        }
    }

    /// The sample at `position`.
    ///
    /// Positions past the end wrap around; an empty domain gives 0.
    pub fn at(&self, position: u64) -> u64 {
        if self.len <= 1 {
            return 0;
        }
        let mut x = self.encipher(position % self.len);
        while x >= self.len {
            x = self.encipher(x);
        }
        x
    }

    /// One bijection of `0..4^half`.
    fn encipher(&self, x: u64) -> u64 {
        let mask = (1u64 << self.half) - 1;
        let (mut left, mut right) = (x >> self.half, x & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(right ^ key) & mask));
        }
        (left << self.half) | right
    }
}

/// The sample at `position` of epoch `epoch`, among `len`.
pub fn permute(seed: u64, epoch: u64, len: u64, position: u64) -> u64 {
    Permutation::new(seed, epoch, len).at(position)
}

/// A number below `bound` that belongs to `domain`, `seed` and `epoch`.
///
/// Zero if `bound` is.
pub fn draw(domain: &str, seed: u64, epoch: u64, bound: u64) -> u64 {
    let [word] = stream(domain, seed, epoch);
    ((u128::from(word) * u128::from(bound)) >> 64) as u64
}

/// `N` independent words for one use of one seed.
fn stream<const N: usize>(domain: &str, seed: u64, epoch: u64) -> [u64; N] {
    let mut hasher = blake3::Hasher::new_derive_key("attention data order 1");
    hasher.update(domain.as_bytes());
    hasher.update(&seed.to_le_bytes());
    hasher.update(&epoch.to_le_bytes());
    let mut reader = hasher.finalize_xof();
    std::array::from_fn(|_| {
        let mut word = [0; 8];
        reader.fill(&mut word);
        u64::from_le_bytes(word)
    })
}

/// Every output bit depends on every input bit (the finaliser of SplitMix64).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_sample_is_visited_exactly_once(seed: u64, epoch in 0u64..100, len in 1u64..3000) {
            let permutation = Permutation::new(seed, epoch, len);
            let mut seen = vec![false; len as usize];
            for position in 0..len {
                let index = permutation.at(position) as usize;
                prop_assert!(!std::mem::replace(&mut seen[index], true));
                prop_assert_eq!(index as u64, permute(seed, epoch, len, position));
            }
        }

        #[test]
        fn huge_domains_stay_inside(seed: u64, len in 1u64.., position: u64) {
            prop_assert!(permute(seed, 0, len, position % len) < len);
        }

        #[test]
        fn draws_stay_below_their_bound(seed: u64, epoch: u64, bound in 1u64..) {
            prop_assert!(draw("test", seed, epoch, bound) < bound);
        }
    }

    #[test]
    fn seeds_and_epochs_shuffle_differently() {
        let visit = |seed, epoch| {
            (0..50)
                .map(|i| permute(seed, epoch, 50, i))
                .collect::<Vec<_>>()
        };
        assert_ne!(visit(0, 0), visit(0, 1));
        assert_ne!(visit(0, 0), visit(1, 0));
        assert_eq!(visit(3, 4), visit(3, 4));
    }

    /// Over many epochs each sample comes first equally often: chi-square with
    /// 9 degrees of freedom exceeds 27.9 once in a thousand.
    #[test]
    fn no_sample_is_favoured() {
        let (len, epochs) = (10u64, 5000u64);
        for position in [0, 4, 9] {
            let mut counts = vec![0f64; len as usize];
            for epoch in 0..epochs {
                counts[permute(1, epoch, len, position) as usize] += 1.0;
            }
            let expected = (epochs / len) as f64;
            let chi: f64 = counts
                .iter()
                .map(|n| (n - expected).powi(2) / expected)
                .sum();
            assert!(chi < 27.9, "position {position}: {counts:?}");
        }
    }

    /// Neighbours in the files must not stay neighbours in the order.
    #[test]
    fn neighbours_are_torn_apart() {
        let permutation = Permutation::new(7, 0, 10_000);
        let near = (0..9_999)
            .filter(|&i| permutation.at(i).abs_diff(permutation.at(i + 1)) <= 10)
            .count();
        // 20 of 10,000 places are near, so about 20 pairs are by chance.
        assert!(near < 60, "{near} pairs stayed near");
    }
}
