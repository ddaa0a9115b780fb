//! A part that is hidden.

use attn_core::input::ImageShape;

use super::{AugmentConfig, Draws, Site};

/// Share of an image that is hidden, at least and at most.
const AREA: [f32; 2] = [0.02, 0.33];
/// Height over width of the hidden part, at most, and its inverse at least.
const ASPECT: f32 = 3.3;

/// Replaces a random rectangle by noise, in a share `erase` of the images.
///
/// Zhong et al. 2017, algorithm 1 <https://arxiv.org/abs/1708.04896>, with the aspect
/// drawn on a logarithmic scale, so that high and wide are equally likely, and sides cut
/// to the image instead of drawn again.
pub(super) fn erase(config: &AugmentConfig, shape: ImageShape, draws: Draws, pixels: &mut [f32]) {
    let [chance, area, aspect, _] = draws.numbers(Site::Erase);
    if f64::from(chance) >= config.erase {
        return;
    }
    let ImageShape {
        height,
        width,
        channels,
    } = shape;
    let area = (AREA[0] + (AREA[1] - AREA[0]) * area) * shape.n_pixels() as f32;
    let aspect = ASPECT.powf(2.0 * aspect - 1.0);
    let side = |length: f32, most: usize| (length.round() as usize).clamp(1, most);
    let rows = side((area * aspect).sqrt(), height);
    let columns = side((area / aspect).sqrt(), width);
    // The word that no number was taken of holds both places.
    let [.., place] = draws.words(Site::Erase);
    let start = |word: u32, free: usize| (word as usize * (free + 1)) >> 16;
    let top = start(place >> 16, height - rows);
    let left = start(place & 0xFFFF, width - columns);
    let key = draws.key(Site::Noise);
    let first = draws.sample.index * shape.n_values() as u64;
    for y in top..top + rows {
        let at = (y * width + left) * channels;
        for (i, pixel) in pixels[at..at + columns * channels].iter_mut().enumerate() {
            *pixel = key.uniform(first + (at + i) as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{SHAPE, config, draws};
    use super::*;

    #[test]
    fn one_rectangle_of_the_right_size_is_hidden_as_often_as_asked() {
        let table = config(json!({"erase": 0.4}));
        let (mut erased, mut corners) = (0, [false; 2]);
        for index in 0..1000 {
            let mut pixels = vec![2.0; SHAPE.n_values()];
            erase(&table, SHAPE, draws(index), &mut pixels);
            let hidden: Vec<bool> = pixels
                .chunks(SHAPE.channels)
                .map(|pixel| pixel.iter().all(|&value| value < 1.0))
                .collect();
            let n = hidden.iter().filter(|&&hidden| hidden).count();
            if n == 0 {
                continue;
            }
            erased += 1;
            let rows: Vec<usize> = (0..SHAPE.height)
                .map(|y| {
                    let row = &hidden[y * SHAPE.width..(y + 1) * SHAPE.width];
                    row.iter().filter(|&&hidden| hidden).count()
                })
                .filter(|&n| n > 0)
                .collect();
            assert!(rows.iter().all(|&n| n == rows[0]), "a rectangle: {rows:?}");
            // Rounding moves a small rectangle beyond its bounds by half a side.
            assert!(n <= SHAPE.n_pixels() / 2, "{n} pixels");
            corners[0] |= hidden[0];
            corners[1] |= hidden[SHAPE.n_pixels() - 1];
        }
        // 400 are expected, with a standard deviation of 15.
        assert!((340..460).contains(&erased), "{erased}");
        assert_eq!(corners, [true; 2], "no place is out of reach");
    }
}
