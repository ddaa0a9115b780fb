//! Made-up pictures of digits, so that a first run needs no download.

use kernels::rng::{Domain, Key};

use super::{Item, Take};
use crate::image::picture::{Colour, Picture};
use crate::{Place, Result};

/// The `path` that stands for these pictures.
pub(crate) const NAME: &str = "generated";

/// Height and width.
const SIDE: usize = 16;

/// A digit of five columns and seven rows, drawn from top to bottom.
const FONT: [[u8; 7]; 10] = [
    [
        0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110,
    ],
    [
        0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110,
    ],
    [
        0b01110, 0b10001, 0b00001, 0b00110, 0b01000, 0b10000, 0b11111,
    ],
    [
        0b11111, 0b00010, 0b00100, 0b00010, 0b00001, 0b10001, 0b01110,
    ],
    [
        0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010,
    ],
    [
        0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110,
    ],
    [
        0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110,
    ],
    [
        0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000,
    ],
    [
        0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110,
    ],
    [
        0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100,
    ],
];

/// Draws `n` pictures of 16 x 16 RGB pixels: digits of random size, slant, place and
/// colour in noise. They are the same in every run.
pub(super) fn read(n: usize, take: &mut Take<'_>) -> Result<()> {
    for index in 0..n {
        let label = index % FONT.len();
        take(Ok(Item {
            picture: draw(label, index as u64),
            label: label.to_string(),
            at: Place::file(format!("{NAME}[{index}]")),
        }))?;
    }
    Ok(())
}

/// Picture `index`, of the digit `label`.
fn draw(label: usize, index: u64) -> Picture {
    let key = |site| Key {
        seed: 0,
        domain: Domain::Drawing,
        step: 0,
        site,
    };
    let number = |which: u64| key(1).uniform(16 * index + which);
    let between = |which, low: f32, high: f32| low + (high - low) * number(which);
    let scale = between(0, 1.6, 2.0);
    let slant = between(1, -0.15, 0.15);
    let (left, top) = (
        between(2, 0.5, SIDE as f32 - 5.0 * scale - 0.5),
        between(3, 0.5, SIDE as f32 - 7.0 * scale - 0.5),
    );
    let ink: [f32; 3] = [4, 5, 6].map(|which| between(which, 0.5, 1.0));
    let paper: [f32; 3] = [7, 8, 9].map(|which| between(which, 0.0, 0.35));
    let mut pixels = Vec::with_capacity(SIDE * SIDE * 3);
    for y in 0..SIDE {
        for x in 0..SIDE {
            // Where the pixel lies on the digit, which leans to its middle row.
            let v = (y as f32 + 0.5 - top) / scale;
            let u = (x as f32 + 0.5 - left) / scale + slant * (v - 3.5);
            let covered = is_set(label, u, v);
            for channel in 0..3 {
                let element = (index * SIDE as u64 * SIDE as u64 + (y * SIDE + x) as u64) * 3;
                let noise = key(2).uniform(element + channel as u64) - 0.5;
                let value = if covered {
                    ink[channel]
                } else {
                    paper[channel]
                };
                pixels.push(((value + 0.2 * noise).clamp(0.0, 1.0) * 255.0).round() as u8);
            }
        }
    }
    Picture {
        height: SIDE,
        width: SIDE,
        colour: Colour::Rgb,
        pixels,
    }
}

/// Whether the digit covers column `u` and row `v` of its cell.
fn is_set(label: usize, u: f32, v: f32) -> bool {
    let inside = (0.0..5.0).contains(&u) && (0.0..7.0).contains(&v);
    inside && FONT[label][v as usize] >> (4 - u as usize) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_differ_but_not_from_run_to_run() {
        assert_eq!(draw(3, 13), draw(3, 13));
        assert_ne!(draw(3, 13), draw(3, 23));
        for label in 0..10 {
            let picture = draw(label, label as u64);
            let bright = picture.pixels.iter().filter(|&&p| p > 110).count();
            assert!(bright > 20, "digit {label} is hardly there: {bright}");
        }
    }
}
