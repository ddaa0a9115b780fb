//! Turned, sized, slanted, moved.

use attn_core::input::ImageShape;

use super::{AugmentConfig, Draws, Site};

/// Turns the image by up to `rotate` degrees either way, scales it by 1 − `scale` to
/// 1 + `scale`, slants it along rows by up to `shear` degrees and moves it by up to
/// `translate` of its sides, all of it in one map of the plane.
///
/// Interpolation is bilinear, and what lies outside the image is black.
pub(super) fn affine(config: &AugmentConfig, shape: ImageShape, draws: Draws, pixels: &mut [f32]) {
    if let Some(map) = Map::drawn(config, shape, draws) {
        map.resample(shape, pixels);
    }
}

/// Where a pixel of the result is read: row `y` and column `x` at
/// `(at + down · y + right · x)`, a row and a column of the source.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Map {
    at: [f32; 2],
    down: [f32; 2],
    right: [f32; 2],
}

impl Map {
    /// The map of one sample, if images are varied so.
    fn drawn(config: &AugmentConfig, shape: ImageShape, draws: Draws) -> Option<Self> {
        let AugmentConfig {
            rotate,
            scale,
            shear,
            translate,
            ..
        } = *config;
        if [rotate, scale, shear, translate].iter().all(|&x| x == 0.0) {
            return None;
        }
        let either_way = |number: f32| 2.0 * f64::from(number) - 1.0;
        let [angle, size, slant, _] = draws.numbers(Site::Affine).map(either_way);
        let [down, right, ..] = draws.numbers(Site::Move).map(either_way);
        let by = [
            down * translate * shape.height as f64,
            right * translate * shape.width as f64,
        ];
        Some(Self::inverse(
            shape,
            (angle * rotate).to_radians(),
            1.0 + size * scale,
            (slant * shear).to_radians().tan(),
            by,
        ))
    }

    /// The inverse of scaling by `size`, moving each row right by `slant` times its height
    /// above the centre, turning anticlockwise by `angle` (radians), each about the centre,
    /// and then moving `by` pixels down and right.
    ///
    /// With rows that run down, `p = size · R S p' + by`, where `S = [1, 0; −slant, 1]` and
    /// `R = [cos, −sin; sin, cos]` act on (row, column) from the centre; this is
    /// `p' = S⁻¹ R⁻¹ (p − by) / size`.
    fn inverse(shape: ImageShape, angle: f64, size: f64, slant: f64, by: [f64; 2]) -> Self {
        let (sin, cos) = angle.sin_cos();
        // What one step down, and one to the right, is in the source.
        let back = |[y, x]: [f64; 2]| {
            let (y, x) = (cos * y + sin * x, cos * x - sin * y);
            [y / size, (x + slant * y) / size]
        };
        let centre = [shape.height, shape.width].map(|side| (side as f64 - 1.0) / 2.0);
        let first = back([-centre[0] - by[0], -centre[1] - by[1]]);
        let at = [centre[0] + first[0], centre[1] + first[1]];
        let f32s = |pair: [f64; 2]| pair.map(|x| x as f32);
        Self {
            at: f32s(at),
            down: f32s(back([1.0, 0.0])),
            right: f32s(back([0.0, 1.0])),
        }
    }

    /// Fills `pixels`, of this `shape`, from what is in them.
    fn resample(&self, shape: ImageShape, pixels: &mut [f32]) {
        let ImageShape {
            height,
            width,
            channels,
        } = shape;
        let stride = (width + 3) * channels;
        let from = bordered(shape, pixels);
        for (y, row) in pixels.chunks_exact_mut(width * channels).enumerate() {
            let start = [0, 1].map(|i| self.at[i] + self.down[i] * y as f32);
            for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
                // What is far outside is read on the border; never below 0 there.
                let read = |i: usize, side: usize| {
                    let at = start[i] + self.right[i] * x as f32;
                    (at + 1.0).clamp(0.0, side as f32 + 1.0)
                };
                let [(above, dv), (before, du)] = [read(0, height), read(1, width)].map(|at| {
                    let whole = at as i32;
                    (whole as usize, at - whole as f32)
                });
                let first = above * stride + before * channels;
                let upper = &from[first..][..2 * channels];
                let lower = &from[first + stride..][..2 * channels];
                for (c, pixel) in pixel.iter_mut().enumerate() {
                    let line = |row: &[f32]| row[c] + du * (row[channels + c] - row[c]);
                    let (upper, lower) = (line(upper), line(lower));
                    *pixel = upper + dv * (lower - upper);
                }
            }
        }
    }
}

/// `pixels` with a black pixel above and to the left of them, and two below and to the
/// right, so that interpolation needs no case for the edge.
fn bordered(shape: ImageShape, pixels: &[f32]) -> Vec<f32> {
    let ImageShape {
        height,
        width,
        channels,
    } = shape;
    let stride = (width + 3) * channels;
    let mut bordered = vec![0.0; (height + 3) * stride];
    let rows = bordered.chunks_exact_mut(stride).skip(1);
    for (to, from) in rows.zip(pixels.chunks_exact(width * channels)) {
        to[channels..][..from.len()].copy_from_slice(from);
    }
    bordered
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{SHAPE, config, draws};
    use super::*;

    const SQUARE: ImageShape = ImageShape {
        height: 3,
        width: 3,
        channels: 1,
    };

    fn resampled(map: Map, shape: ImageShape, from: &[f32]) -> Vec<f32> {
        let mut pixels = from.to_vec();
        map.resample(shape, &mut pixels);
        pixels
    }

    fn ramp(shape: ImageShape) -> Vec<f32> {
        let n = shape.n_values();
        (0..n).map(|i| (i + 1) as f32 / n as f32).collect()
    }

    #[track_caller]
    fn assert_close(got: &[f32], want: &[f32]) {
        // Coordinates of a few pixels have errors of 1e-6 in `f32`.
        let close = got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(
            close && got.len() == want.len(),
            "{got:?} instead of {want:?}"
        );
    }

    #[test]
    fn nothing_changes_unless_a_key_says_so() {
        let image = ramp(SHAPE);
        for table in [json!({}), json!({"flip": true, "erase": 0.5})] {
            let mut pixels = image.clone();
            affine(&config(table), SHAPE, draws(0), &mut pixels);
            assert_eq!(pixels, image);
        }
        let none = Map::inverse(SHAPE, 0.0, 1.0, 0.0, [0.0; 2]);
        assert_eq!(resampled(none, SHAPE, &image), image);
    }

    #[test]
    fn a_move_by_whole_pixels_moves_pixels() {
        let image = ramp(SHAPE);
        let moved = resampled(
            Map::inverse(SHAPE, 0.0, 1.0, 0.0, [2.0, -1.0]),
            SHAPE,
            &image,
        );
        let ImageShape {
            height,
            width,
            channels,
        } = SHAPE;
        for (y, x, c) in (0..height)
            .flat_map(|y| (0..width).flat_map(move |x| (0..channels).map(move |c| (y, x, c))))
        {
            let want = match y >= 2 && x + 1 < width {
                true => image[((y - 2) * width + x + 1) * channels + c],
                false => 0.0,
            };
            assert_eq!(moved[(y * width + x) * channels + c], want, "{y} {x} {c}");
        }
    }

    #[test]
    fn half_a_pixel_is_half_of_two() {
        let image = [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0];
        let map = Map::inverse(SQUARE, 0.0, 1.0, 0.0, [0.5, 0.0]);
        let want = [0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.5, 0.0];
        assert_eq!(resampled(map, SQUARE, &image), want);
        // Half of the last row leaves the image.
        let map = Map::inverse(SQUARE, 0.0, 1.0, 0.0, [1.5, 0.0]);
        let want = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0];
        assert_eq!(resampled(map, SQUARE, &image), want);
    }

    #[test]
    fn a_quarter_turn_and_a_slant_are_those_of_the_definition() {
        let image = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
        let quarter = std::f64::consts::FRAC_PI_2;
        let turned = Map::inverse(SQUARE, quarter, 1.0, 0.0, [0.0; 2]);
        let anticlockwise = [3.0, 6.0, 9.0, 2.0, 5.0, 8.0, 1.0, 4.0, 7.0];
        assert_close(&resampled(turned, SQUARE, &image), &anticlockwise);
        let slanted = Map::inverse(SQUARE, 0.0, 1.0, 1.0, [0.0; 2]);
        let top_to_the_right = [0.0, 1.0, 2.0, 4.0, 5.0, 6.0, 8.0, 9.0, 0.0];
        assert_close(&resampled(slanted, SQUARE, &image), &top_to_the_right);
        // Twice as large: each step in the result is half a step in the source.
        let large = Map::inverse(SQUARE, 0.0, 2.0, 0.0, [0.0; 2]);
        let middle = [3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0];
        assert_close(&resampled(large, SQUARE, &image), &middle);
    }

    /// The definition: each source pixel counts by a triangle of one pixel around it, each
    /// way, in `f64`.
    #[test]
    fn what_is_drawn_is_what_its_definition_says() {
        let table = config(json!({
            "rotate": 180.0, "scale": 0.6, "shear": 45.0, "translate": 0.5,
        }));
        let image = ramp(SHAPE);
        let ImageShape {
            height,
            width,
            channels,
        } = SHAPE;
        let mut touched = 0;
        for index in 0..40 {
            let map = Map::drawn(&table, SHAPE, draws(index)).expect("varied");
            let got = resampled(map, SHAPE, &image);
            for (y, x, c) in (0..height)
                .flat_map(|y| (0..width).flat_map(move |x| (0..channels).map(move |c| (y, x, c))))
            {
                let [v, u] = [0, 1].map(|i| {
                    let step = |by: [f32; 2], n: usize| f64::from(by[i]) * n as f64;
                    f64::from(map.at[i]) + step(map.down, y) + step(map.right, x)
                });
                let weight = |at: f64, pixel: usize| (1.0 - (at - pixel as f64).abs()).max(0.0);
                let mut want = 0.0;
                for (b, a) in (0..height).flat_map(|b| (0..width).map(move |a| (b, a))) {
                    let pixel = f64::from(image[(b * width + a) * channels + c]);
                    want += weight(v, b) * weight(u, a) * pixel;
                }
                let got = f64::from(got[(y * width + x) * channels + c]);
                // Coordinates of a few pixels have errors of 1e-6 in `f32`.
                assert!((got - want).abs() < 1e-5, "{index}: {got} {want}");
                touched += usize::from(want > 0.0);
            }
        }
        assert!(touched > 40 * image.len() / 4, "{touched}");
    }

    /// Interpolation weights of a rigid map add up to about 1 for every pixel it reads.
    #[test]
    fn a_blob_keeps_its_brightness_when_turned() {
        let shape = ImageShape {
            height: 28,
            width: 28,
            channels: 1,
        };
        let blob: Vec<f32> = (0..shape.n_pixels())
            .map(|i| {
                let (y, x) = ((i / 28) as f32 - 12.0, (i % 28) as f32 - 15.0);
                (-(y * y + x * x) / 18.0).exp()
            })
            .collect();
        let sum = |pixels: &[f32]| pixels.iter().sum::<f32>();
        let table = config(json!({"rotate": 15.0}));
        let mut changed = 0;
        for index in 0..50 {
            let mut pixels = blob.clone();
            affine(&table, shape, draws(index), &mut pixels);
            let ratio = sum(&pixels) / sum(&blob);
            assert!((ratio - 1.0).abs() < 1e-3, "{ratio}");
            changed += usize::from(pixels != blob);
        }
        assert_eq!(changed, 50);
    }

    /// Draws reach their bounds, go no further, and each key moves what it should.
    #[test]
    fn draws_fill_their_ranges() {
        let shape = ImageShape {
            height: 10,
            width: 20,
            channels: 1,
        };
        let centre = |map: &Map| {
            [0, 1].map(|i| map.at[i] + map.down[i] * 4.5 + map.right[i] * 9.5 - [4.5, 9.5][i])
        };
        let turn = |map: &Map| map.right[0].atan2(map.down[0]).to_degrees();
        let size = |map: &Map| 1.0 / map.right[1].hypot(map.right[0]);
        let slant = |map: &Map| map.down[1].atan().to_degrees();
        type Measure<'a> = &'a dyn Fn(&Map) -> f32;
        let cases: [(_, Measure<'_>, [f32; 2]); 5] = [
            (json!({"rotate": 30.0}), &turn, [-30.0, 30.0]),
            (json!({"scale": 0.2}), &size, [0.8, 1.2]),
            (json!({"shear": 20.0}), &slant, [-20.0, 20.0]),
            (json!({"translate": 0.1}), &|m| centre(m)[0], [-1.0, 1.0]),
            (json!({"translate": 0.1}), &|m| centre(m)[1], [-2.0, 2.0]),
        ];
        for (table, measure, [low, high]) in cases {
            let config = config(table.clone());
            let found: Vec<f32> = (0..500)
                .filter_map(|index| Map::drawn(&config, shape, draws(index)))
                .map(|map| measure(&map))
                .collect();
            let least = found.iter().copied().fold(f32::MAX, f32::min);
            let most = found.iter().copied().fold(f32::MIN, f32::max);
            let (slack, edge) = (1e-4, (high - low) / 50.0);
            assert_eq!(found.len(), 500);
            assert!(
                least >= low - slack && least < low + edge,
                "{table}: {least}"
            );
            assert!(
                most <= high + slack && most > high - edge,
                "{table}: {most}"
            );
        }
    }
}
