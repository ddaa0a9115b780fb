//! Random numbers by counter: every draw is a pure function of its key and index.
//!
//! No generator has state, so none can be forgotten in a checkpoint, and neither
//! threads nor the order of work can change a draw. The function is Philox4x32-10
//! (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", §4.3).

/// Names one stream of draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Seed of the run.
    pub seed: u64,
    /// What the draws are for, so that two uses of one seed never meet.
    pub domain: Domain,
    /// Optimizer step, or any other time.
    pub step: u32,
    /// Which of the places that draw at this step.
    pub site: u32,
}

/// Uses of random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Domain {
    /// Which activations are dropped.
    Dropout = 1,
    /// Which token comes next.
    Sampling = 2,
    /// Synthetic inputs of a benchmark.
    Benchmark = 3,
    /// How a training sample is changed.
    Augmentation = 4,
    /// Images that are made.
    Drawing = 6,
    /// Graphs that are made, and what is drawn of graphs: signs, pairs that are no link.
    Graphs = 8,
}

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

impl Key {
    /// The four words at index `block`.
    #[inline]
    pub fn block(self, block: u64) -> [u32; 4] {
        philox(self.counter(block), self.philox_key())
    }

    #[inline(always)]
    fn counter(self, block: u64) -> [u32; 4] {
        let site = self.site ^ ((self.domain as u32) << 24).rotate_left(8);
        [block as u32, (block >> 32) as u32, self.step, site]
    }

    #[inline(always)]
    fn philox_key(self) -> [u32; 2] {
        let domain = self.domain as u32;
        [self.seed as u32, (self.seed >> 32) as u32 ^ domain]
    }

    /// What a GPU draws from: both words of Philox's key, then the upper two of its counter.
    #[cfg(feature = "cuda")]
    pub(crate) fn words_of_key(self) -> [u32; 4] {
        let ([k0, k1], [_, _, c2, c3]) = (self.philox_key(), self.counter(0));
        [k0, k1, c2, c3]
    }

    /// The words at `64 · index .. 64 · (index + 1)`, the same as one by one.
    #[inline(always)]
    pub(crate) fn words64(self, index: u64) -> [u32; 64] {
        let first = index * 16;
        let [a, b, c, d] = self.sixteen_blocks(std::array::from_fn(|i| first + i as u64));
        let mut words = [0; 64];
        for (i, words) in words.chunks_exact_mut(4).enumerate() {
            words.copy_from_slice(&[a[i], b[i], c[i], d[i]]);
        }
        words
    }

    /// The first words at sixteen indices, then the second words, and so on.
    ///
    /// The blocks go through the rounds side by side, so that inside a vector kernel
    /// the compiler makes vectors of them.
    #[inline(always)]
    pub(crate) fn sixteen_blocks(self, blocks: [u64; 16]) -> [[u32; 16]; 4] {
        let [mut a, mut b, mut c, mut d] = [[0u32; 16]; 4];
        let [_, _, c0, d0] = self.counter(0);
        let mut key = self.philox_key();
        for (block, (a, b)) in blocks.into_iter().zip(a.iter_mut().zip(&mut b)) {
            (*a, *b) = (block as u32, (block >> 32) as u32);
        }
        (c, d) = (c.map(|_| c0), d.map(|_| d0));
        for round in 0..10 {
            if round > 0 {
                key = next_key(key);
            }
            for i in 0..16 {
                [a[i], b[i], c[i], d[i]] = philox_round([a[i], b[i], c[i], d[i]], key);
            }
        }
        [a, b, c, d]
    }

    /// The word at index `element`.
    #[inline]
    pub fn word(self, element: u64) -> u32 {
        self.block(element / 4)[(element % 4) as usize]
    }

    /// The number at index `element`, uniform in `[0, 1)`, a multiple of 2⁻²⁴.
    #[inline]
    pub fn uniform(self, element: u64) -> f32 {
        (self.word(element) >> 8) as f32 * (1.0 / 16_777_216.0)
    }
}

#[inline(always)]
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            key = next_key(key);
        }
        counter = philox_round(counter, key);
    }
    counter
}

#[inline(always)]
fn philox_round([a, b, c, d]: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let low = u64::from(a) * u64::from(MULTIPLIERS[0]);
    let high = u64::from(c) * u64::from(MULTIPLIERS[1]);
    [
        (high >> 32) as u32 ^ b ^ key[0],
        high as u32,
        (low >> 32) as u32 ^ d ^ key[1],
        low as u32,
    ]
}

#[inline(always)]
fn next_key(key: [u32; 2]) -> [u32; 2] {
    [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the reference implementation (Random123, `kat_vectors`).
    #[test]
    fn philox_gives_the_published_answers() {
        assert_eq!(
            philox([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn many_words_at_a_time_are_the_words_one_by_one() {
        let key = Key {
            seed: 0x1234_5678_9abc,
            domain: Domain::Dropout,
            step: 5,
            site: 6,
        };
        for index in [0, 1, 77, (1 << 28) - 1, 1 << 28, 1 << 40] {
            let one_by_one = std::array::from_fn(|i| key.word(64 * index + i as u64));
            assert_eq!(key.words64(index), one_by_one);
        }
    }

    #[test]
    fn draws_differ_by_every_part_of_the_key() {
        let key = Key {
            seed: 1,
            domain: Domain::Dropout,
            step: 2,
            site: 3,
        };
        let others = [
            Key { seed: 2, ..key },
            Key {
                seed: 1 | 1 << 40,
                ..key
            },
            Key {
                domain: Domain::Sampling,
                ..key
            },
            Key { step: 3, ..key },
            Key { site: 4, ..key },
        ];
        for other in others {
            assert_ne!(key.block(7), other.block(7), "{other:?}");
        }
    }

    #[test]
    fn uniform_draws_have_the_mean_and_spread_of_the_uniform_distribution() {
        let key = Key {
            seed: 9,
            domain: Domain::Dropout,
            step: 0,
            site: 0,
        };
        let n = 100_000u32;
        let draws: Vec<f64> = (0..u64::from(n))
            .map(|i| f64::from(key.uniform(i)))
            .collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        let spread = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
        // Five standard errors of each estimate.
        assert!(
            (mean - 0.5).abs() < 5.0 * (1.0 / 12.0f64 / f64::from(n)).sqrt(),
            "mean {mean}"
        );
        assert!(
            (spread - 1.0 / 12.0).abs() < 5.0 * (1.0 / 180.0f64 / f64::from(n)).sqrt(),
            "variance {spread}"
        );
        assert!(draws.iter().all(|x| (0.0..1.0).contains(x)));
    }
}
