//! Sounds that the program makes, for a run that needs no files.

use std::f64::consts::TAU;

use super::augment::Draws;

/// What a generated clip can be.
pub(super) const CLASSES: [&str; 6] = ["beats", "falling", "noise", "rising", "steady", "warble"];

/// Clip `index`, its class and its samples: between 0.3 and 0.6 s of a tone of random
/// height in noise, but for the class that is noise alone.
pub(super) fn clip(seed: u64, index: u64, rate: u32) -> (usize, Vec<f32>) {
    // No training sample is drawn in this epoch.
    let draws = Draws::new(seed, u64::from(u32::MAX), index);
    let class = (index % CLASSES.len() as u64) as usize;
    let seconds = 0.3 + 0.3 * draws.uniform(0);
    let n = (seconds * f64::from(rate)) as usize;
    // Two octaves, below a quarter of the sample rate with room for a slide.
    let height = f64::from(rate) / 40.0 * 4f64.powf(draws.uniform(1));
    let slide = 0.3 + 0.3 * draws.uniform(2);
    let wobble = TAU * (5.0 + 5.0 * draws.uniform(3));
    let loudness = 0.1 + 0.4 * draws.uniform(4);
    // Between 26 and 12 decibels below the tone.
    let noise = loudness * (0.05 + 0.2 * draws.uniform(5));
    let mut phase = TAU * draws.uniform(6);
    let sample = |i: usize| {
        let (t, part) = (i as f64 / f64::from(rate), i as f64 / n as f64);
        let (pitch, swell) = match CLASSES[class] {
            "rising" => (1.0 + slide * (2.0 * part - 1.0), 1.0),
            "falling" => (1.0 - slide * (2.0 * part - 1.0), 1.0),
            "warble" => (1.0 + 0.15 * (wobble * t).sin(), 1.0),
            "beats" => (1.0, 0.5 + 0.5 * (wobble * t).sin()),
            _ => (1.0, 1.0),
        };
        phase += TAU * height * pitch / f64::from(rate);
        let tone = match CLASSES[class] {
            "noise" => 0.5 * f64::from(draws.normal(2 * i as u64 + 1)),
            _ => phase.sin() + 0.3 * (2.0 * phase).sin(),
        };
        (loudness * swell * tone + noise * f64::from(draws.normal(2 * i as u64))) as f32
    };
    (class, (0..n).map(sample).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_are_functions_of_their_number_and_of_every_class() {
        for index in 0..12 {
            let (class, samples) = clip(3, index, 8000);
            assert_eq!(class, index as usize % 6);
            assert!((2400..=4800).contains(&samples.len()));
            assert!(samples.iter().all(|x| x.is_finite() && x.abs() < 2.0));
            assert_eq!(clip(3, index, 8000).1, samples);
            assert_ne!(clip(4, index, 8000).1, samples);
        }
    }
}
