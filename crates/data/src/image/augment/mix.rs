//! Two images in one, with two answers.

use std::ops::Range;

use attn_core::input::ImageShape;

use super::{AugmentConfig, Draws, Site};

/// What an image is mixed with, and how.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::image) struct Mixing {
    /// The other sample of the same epoch.
    pub(in crate::image) partner: u64,
    /// The share that the first image keeps, of pixels and of the target.
    pub(in crate::image) share: f32,
    /// How the two become one.
    pub(in crate::image) mix: Mix,
}

/// How two images become one.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::image) enum Mix {
    /// Every pixel is a weighted mean: mixup; Zhang et al. 2017
    /// <https://arxiv.org/abs/1710.09412>.
    Blend,
    /// Some rows and columns are those of the other: CutMix; Yun et al. 2019
    /// <https://arxiv.org/abs/1905.04899>.
    Patch {
        /// Rows that are replaced.
        rows: Range<usize>,
        /// Columns of them that are replaced.
        columns: Range<usize>,
    },
}

/// What the sample of `draws` is mixed with, among `n` samples.
pub(super) fn mixing(
    config: &AugmentConfig,
    shape: ImageShape,
    draws: Draws,
    n: u64,
) -> Option<Mixing> {
    let [which, partner, x, y] = draws.words(Site::Mix);
    let partner = (u64::from(partner) * n) >> 32;
    let cut = match (config.mixup > 0.0, config.cutmix > 0.0) {
        (false, false) => return None,
        (true, false) => false,
        (false, true) => true,
        (true, true) => which >> 31 == 1,
    };
    if !cut {
        return Some(Mixing {
            partner,
            share: beta(config.mixup, draws),
            mix: Mix::Blend,
        });
    }
    let side = (1.0 - beta(config.cutmix, draws)).sqrt();
    let rows = span(shape.height, side, y);
    let columns = span(shape.width, side, x);
    let replaced = (rows.len() * columns.len()) as f32 / shape.n_pixels() as f32;
    Some(Mixing {
        partner,
        share: 1.0 - replaced,
        mix: Mix::Patch { rows, columns },
    })
}

/// A share `side` of `n`, around a centre anywhere in it, cut off at the ends.
fn span(n: usize, side: f32, word: u32) -> Range<usize> {
    let length = (n as f32 * side).round() as usize;
    let centre = ((u64::from(word) * n as u64) >> 32) as usize;
    let start = centre.saturating_sub(length / 2);
    let end = (centre + length.div_ceil(2)).min(n);
    start..end.max(start)
}

/// A number drawn from Beta(`alpha`, `alpha`), for `alpha` in `(0, 1]`.
///
/// Of two uniform numbers, `x = u^(1/α)` and `y = v^(1/α)`, accepted if `x + y ≤ 1`, it
/// is `x / (x + y)`; Jöhnk 1964. At least half of the pairs are accepted.
fn beta(alpha: f64, draws: Draws) -> f32 {
    const ATTEMPTS: u64 = 1 << 6;
    let key = draws.key(Site::Share);
    for attempt in 0..ATTEMPTS {
        let [u, v, ..] = key.block(draws.sample.index * ATTEMPTS + attempt);
        // In (0, 1), and as logarithms, which do not underflow however small alpha is.
        let log = |word: u32| ((f64::from(word) + 0.5) / 4_294_967_296.0).ln() / alpha;
        let (x, y) = (log(u), log(v));
        if x.exp() + y.exp() <= 1.0 {
            return (1.0 / (1.0 + (y - x).exp())) as f32;
        }
    }
    0.5
}

impl Mix {
    /// Puts `other` into `pixels`, of which `share` stays.
    pub(in crate::image) fn apply(
        &self,
        share: f32,
        shape: ImageShape,
        pixels: &mut [f32],
        other: &[f32],
    ) {
        match self {
            Self::Blend => {
                for (pixel, other) in pixels.iter_mut().zip(other) {
                    *pixel = share * *pixel + (1.0 - share) * other;
                }
            }
            Self::Patch { rows, columns } => {
                for y in rows.clone() {
                    let row = y * shape.width;
                    let part = (row + columns.start) * shape.channels
                        ..(row + columns.end) * shape.channels;
                    pixels[part.clone()].copy_from_slice(&other[part]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{SHAPE, config, draws};
    use super::*;

    /// Beta(α, α) has mean 1/2 and variance 1 / (4 (2α + 1)).
    #[test]
    fn shares_have_the_moments_of_their_distribution() {
        for alpha in [0.05, 0.2, 0.5, 1.0] {
            let n = 20_000;
            let shares: Vec<f64> = (0..n).map(|i| f64::from(beta(alpha, draws(i)))).collect();
            let mean = shares.iter().sum::<f64>() / n as f64;
            let variance = shares.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n as f64;
            let want = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            // Four standard errors of a mean of 20,000 numbers with a deviation of at most 1/2.
            assert!((mean - 0.5).abs() < 0.0142, "{alpha}: mean {mean}");
            assert!((variance - want).abs() < 0.01, "{alpha}: {variance} {want}");
        }
        assert!(beta(1e-9, draws(0)).is_finite());
    }

    #[test]
    fn the_share_of_a_target_is_the_share_of_its_pixels() {
        let table = config(json!({"cutmix": 1.0}));
        for index in 0..500 {
            let mixing = mixing(&table, SHAPE, draws(index), 50).expect("mixed");
            let mut pixels = vec![0.0; SHAPE.n_values()];
            let other = vec![1.0; SHAPE.n_values()];
            mixing.mix.apply(mixing.share, SHAPE, &mut pixels, &other);
            let kept = pixels.iter().filter(|&&p| p == 0.0).count() as f32;
            assert!((kept / SHAPE.n_values() as f32 - mixing.share).abs() < 1e-6);
            assert!(mixing.partner < 50);
        }
    }

    #[test]
    fn a_blend_is_a_weighted_mean() {
        let mut pixels = [0.0, 1.0, 0.5];
        Mix::Blend.apply(0.75, SHAPE, &mut pixels, &[1.0, 0.0, 0.5]);
        assert_eq!(pixels, [0.25, 0.75, 0.5]);
    }

    #[test]
    fn with_both_each_image_gets_one_of_the_two() {
        let both = config(json!({"mixup": 0.2, "cutmix": 1.0}));
        let blends = (0..1000)
            .filter_map(|index| mixing(&both, SHAPE, draws(index), 9))
            .filter(|mixing| mixing.mix == Mix::Blend)
            .count();
        // 500 are expected, with a standard deviation of 16.
        assert!((436..564).contains(&blends), "{blends}");
        assert_eq!(mixing(&config(json!({})), SHAPE, draws(0), 9), None);
    }
}
