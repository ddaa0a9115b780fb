//! Training sound that is a little different every time.
//!
//! Every draw is a pure function of the seed, the epoch and the sample, so what a thread
//! reads ahead, or a run that was resumed, hears the same.

use kernels::rng::{Domain, Key};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Draws of one sample that are single numbers; noise starts behind them.
const N_SINGLE: u64 = 256;

/// How training sound is changed; nothing is by default.
///
/// Valid by construction: all numbers are finite and in their ranges.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawAugmentConfig")]
#[schemars(with = "RawAugmentConfig")]
pub struct AugmentConfig {
    gain_db: f64,
    shift_ms: f64,
    speed: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    noise_db: Option<[f64; 2]>,
    time_masks: usize,
    time_mask: usize,
    time_share: f64,
    freq_masks: usize,
    freq_mask: usize,
}

/// How training sound is changed, differently in every epoch
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "AudioAugmentConfig")]
struct RawAugmentConfig {
    /// Made louder or quieter by up to so many decibels
    #[schemars(range(min = 0.0, max = 60.0))]
    gain_db: f64,
    /// Moved by up to so many milliseconds, silence in place of what is missing
    #[schemars(range(min = 0.0, max = 10000.0))]
    shift_ms: f64,
    /// Played faster or slower by up to this part: 0.1 for 0.9 to 1.1 times the speed
    #[schemars(range(min = 0.0, max = 0.5))]
    speed: f64,
    /// White noise is added, as far below the sound as drawn between these decibels
    noise_db: Option<[f64; 2]>,
    /// Runs of frames that are blanked (Park et al. 2019, SpecAugment, §2 <https://arxiv.org/abs/1904.08779>)
    #[schemars(range(max = 32))]
    time_masks: usize,
    /// Frames of such a run at most
    time_mask: usize,
    /// Part of a clip that one run may blank
    #[schemars(range(min = 0.0, max = 1.0))]
    time_share: f64,
    /// Runs of bands that are blanked
    #[schemars(range(max = 32))]
    freq_masks: usize,
    /// Bands of such a run at most
    freq_mask: usize,
}

impl Default for RawAugmentConfig {
    fn default() -> Self {
        Self {
            gain_db: 0.0,
            shift_ms: 0.0,
            speed: 0.0,
            noise_db: None,
            time_masks: 0,
            time_mask: 40,
            time_share: 0.2,
            freq_masks: 0,
            freq_mask: 10,
        }
    }
}

impl TryFrom<RawAugmentConfig> for AugmentConfig {
    type Error = String;

    fn try_from(raw: RawAugmentConfig) -> Result<Self, String> {
        let RawAugmentConfig {
            gain_db,
            shift_ms,
            speed,
            noise_db,
            time_masks,
            time_mask,
            time_share,
            freq_masks,
            freq_mask,
        } = raw;
        for (key, value, most) in [
            ("gain_db", gain_db, 60.0),
            ("shift_ms", shift_ms, 10_000.0),
            ("speed", speed, 0.5),
            ("time_share", time_share, 1.0),
            ("time_masks", time_masks as f64, 32.0),
            ("freq_masks", freq_masks as f64, 32.0),
        ] {
            if !(0.0..=most).contains(&value) {
                return Err(format!("{key} = {value} is out of range; use 0 to {most}"));
            }
        }
        if let Some([low, high]) = noise_db
            && !(low <= high && (-20.0..=120.0).contains(&low) && high <= 120.0)
        {
            return Err(format!(
                "noise_db = [{low}, {high}] is out of range; use two rising numbers from -20 to 120"
            ));
        }
        Ok(Self {
            gain_db,
            shift_ms,
            speed,
            noise_db,
            time_masks,
            time_mask,
            time_share,
            freq_masks,
            freq_mask,
        })
    }
}

/// The draws of one sample of one epoch.
#[derive(Debug, Clone, Copy)]
pub struct Draws(Key);

impl Draws {
    /// Those of sample `index` in `epoch`.
    pub fn new(seed: u64, epoch: u64, index: u64) -> Self {
        // Samples beyond 2³² of an epoch and epochs beyond 2³² meet again, far apart.
        Self(Key {
            seed,
            domain: Domain::Augmentation,
            step: epoch as u32,
            site: index as u32,
        })
    }

    /// Number `which`, uniform in `[0, 1)`.
    pub(super) fn uniform(self, which: u64) -> f64 {
        f64::from(self.0.uniform(which))
    }

    /// Number `which`, uniform in `[-1, 1)`.
    fn signed(self, which: u64) -> f64 {
        2.0 * self.uniform(which) - 1.0
    }

    /// Number `which`, uniform in `0..=most`.
    fn up_to(self, which: u64, most: usize) -> usize {
        ((self.uniform(which) * (most as f64 + 1.0)) as usize).min(most)
    }

    /// Standard normal number `which` (Box and Muller 1958).
    pub(super) fn normal(self, which: u64) -> f32 {
        let [a, b, ..] = self.0.block(N_SINGLE / 4 + which / 2);
        let unit = |word: u32| (f64::from(word >> 8) + 0.5) / f64::from(1 << 24);
        let (radius, angle) = (
            (-2.0 * unit(a).ln()).sqrt(),
            std::f64::consts::TAU * unit(b),
        );
        let turned = if which.is_multiple_of(2) {
            angle.cos()
        } else {
            angle.sin()
        };
        (radius * turned) as f32
    }
}

impl AugmentConfig {
    /// Where sample `at` of what [`samples`](Self::samples) makes was before, give or take
    /// one.
    pub(super) fn origin(&self, at: usize, rate: u32, draws: Draws) -> i64 {
        let (mut speed, mut by) = (1.0, 0.0);
        if self.speed > 0.0 {
            speed = 1.0 + self.speed * draws.signed(0);
        }
        if self.shift_ms > 0.0 {
            by = (self.shift_ms / 1000.0 * f64::from(rate) * draws.signed(1)).round();
        }
        ((at as f64 - by) * speed).round() as i64
    }

    /// Whether samples are changed, not only frames.
    pub fn changes_samples(&self) -> bool {
        self.gain_db > 0.0 || self.shift_ms > 0.0 || self.speed > 0.0 || self.noise_db.is_some()
    }

    /// `samples` at `rate` a second, changed.
    pub fn samples(&self, samples: &[f32], rate: u32, draws: Draws) -> Vec<f32> {
        let mut sound = match self.speed {
            0.0 => samples.to_vec(),
            speed => faster(samples, 1.0 + speed * draws.signed(0)),
        };
        if self.shift_ms > 0.0 {
            let most = self.shift_ms / 1000.0 * f64::from(rate);
            shift(&mut sound, (most * draws.signed(1)).round() as i64);
        }
        if self.gain_db > 0.0 {
            let gain = 10f64.powf(self.gain_db * draws.signed(2) / 20.0) as f32;
            sound.iter_mut().for_each(|x| *x *= gain);
        }
        if let Some([low, high]) = self.noise_db {
            let below = low + (high - low) * draws.uniform(3);
            let power = sound.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
            let loudness = (power / sound.len().max(1) as f64).sqrt();
            let scale = (loudness * 10f64.powf(-below / 20.0)) as f32;
            for (i, x) in sound.iter_mut().enumerate() {
                *x += scale * draws.normal(i as u64);
            }
        }
        sound
    }

    /// Blanks runs of rows and of columns of `frames`, `[n, width]`.
    pub fn frames(&self, frames: &mut [f32], width: usize, draws: Draws) {
        if width == 0 {
            return;
        }
        let n = frames.len() / width;
        let longest = self.time_mask.min((self.time_share * n as f64) as usize);
        for i in 0..self.time_masks as u64 {
            let len = draws.up_to(16 + 2 * i, longest);
            let start = draws.up_to(17 + 2 * i, n - len);
            frames[start * width..(start + len) * width].fill(0.0);
        }
        for i in 0..self.freq_masks as u64 {
            let len = draws.up_to(128 + 2 * i, self.freq_mask.min(width));
            let start = draws.up_to(129 + 2 * i, width - len);
            for frame in frames.chunks_exact_mut(width) {
                frame[start..start + len].fill(0.0);
            }
        }
    }
}

/// Read at `speed` times its pace, between samples along a cubic (Catmull and Rom 1974).
fn faster(samples: &[f32], speed: f64) -> Vec<f32> {
    let n = ((samples.len() as f64 / speed).round() as usize).max(1);
    let last = samples.len().saturating_sub(1);
    let at = |i: i64| samples.get(i.clamp(0, last as i64) as usize).copied();
    let sample = |i: usize| {
        let x = i as f64 * speed;
        let (base, t) = (x as i64, x.fract() as f32);
        let [a, b, c, d] = [-1, 0, 1, 2].map(|offset| at(base + offset).unwrap_or(0.0));
        let slope = |from: f32, to: f32| (to - from) / 2.0;
        let (left, right) = (slope(a, c), slope(b, d));
        let cubic = 2.0 * (b - c) + left + right;
        let square = 3.0 * (c - b) - 2.0 * left - right;
        ((cubic * t + square) * t + left) * t + b
    };
    (0..n).map(sample).collect()
}

/// Moves to later by `by` samples, earlier if it is negative.
fn shift(samples: &mut [f32], by: i64) {
    let n = samples.len();
    let distance = (by.unsigned_abs() as usize).min(n);
    if by >= 0 {
        samples.copy_within(..n - distance, distance);
        samples[..distance].fill(0.0);
    } else {
        samples.copy_within(distance.., 0);
        samples[n - distance..].fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(table: serde_json::Value) -> AugmentConfig {
        serde_json::from_value(table).unwrap()
    }

    fn all() -> AugmentConfig {
        config(serde_json::json!({
            "gain_db": 6.0, "shift_ms": 20.0, "speed": 0.1, "noise_db": [10, 30],
            "time_masks": 2, "time_mask": 5, "time_share": 0.5, "freq_masks": 2, "freq_mask": 3
        }))
    }

    fn tone(n: usize) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * 0.3).sin()).collect()
    }

    #[test]
    fn what_is_heard_depends_on_seed_epoch_and_sample_alone() {
        let (config, samples) = (all(), tone(400));
        let hear = |seed, epoch, index| {
            let draws = Draws::new(seed, epoch, index);
            let sound = config.samples(&samples, 8000, draws);
            let mut frames = vec![1.0; 30 * 8];
            config.frames(&mut frames, 8, draws);
            (sound, frames)
        };
        assert_eq!(hear(1, 2, 3), hear(1, 2, 3));
        for other in [hear(2, 2, 3), hear(1, 3, 3), hear(1, 2, 4)] {
            assert_ne!(hear(1, 2, 3).0, other.0);
        }
        let (plain, draws) = (AugmentConfig::default(), Draws::new(1, 2, 3));
        assert!(!plain.changes_samples() && config.changes_samples());
        assert_eq!(plain.samples(&samples, 8000, draws), samples);
    }

    #[test]
    fn masks_stay_within_their_sizes() {
        let config = all();
        let (mut most_rows, mut most_columns) = (0, 0);
        for index in 0..500 {
            let mut frames = vec![1.0f32; 40 * 8];
            config.frames(&mut frames, 8, Draws::new(5, 0, index));
            let blank = |x: &&f32| **x == 0.0;
            let rows = frames
                .chunks_exact(8)
                .filter(|row| row.iter().filter(blank).count() == 8)
                .count();
            let columns = (0..8)
                .filter(|&c| frames[c..].iter().step_by(8).filter(blank).count() == 40)
                .count();
            (most_rows, most_columns) = (most_rows.max(rows), most_columns.max(columns));
        }
        assert_eq!((most_rows, most_columns), (10, 6));
        config.frames(&mut [], 8, Draws::new(1, 0, 0));
    }

    #[test]
    fn noise_is_as_far_below_the_sound_as_it_says() {
        let config = config(serde_json::json!({"noise_db": [20, 20]}));
        let samples = tone(20_000);
        let heard = config.samples(&samples, 8000, Draws::new(1, 0, 0));
        let power = |x: &[f32]| x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
        let noise: Vec<f32> = heard.iter().zip(&samples).map(|(a, b)| a - b).collect();
        let decibels = 10.0 * (power(&samples) / power(&noise)).log10();
        assert!((decibels - 20.0).abs() < 0.2, "{decibels}");
    }

    #[test]
    fn speed_and_shift_move_samples() {
        let line: Vec<f32> = (0..100).map(|i| i as f32).collect();
        let double = faster(&line, 1.25);
        assert_eq!(double.len(), 80);
        for (i, &x) in double.iter().enumerate().take(75).skip(2) {
            assert!((x - 1.25 * i as f32).abs() < 1e-3);
        }
        let mut x = [1.0, 2.0, 3.0];
        shift(&mut x, 1);
        assert_eq!(x, [0.0, 1.0, 2.0]);
        shift(&mut x, -2);
        assert_eq!(x, [2.0, 0.0, 0.0]);
        shift(&mut x, 9);
        assert_eq!(x, [0.0; 3]);
        assert_eq!(faster(&[], 1.1), [0.0]);
    }

    #[test]
    fn nonsense_is_refused_with_its_key() {
        for (table, fault) in [
            (serde_json::json!({"gain_db": -1.0}), "gain_db = -1"),
            (serde_json::json!({"speed": 0.9}), "speed = 0.9"),
            (
                serde_json::json!({"noise_db": [30, 10]}),
                "noise_db = [30, 10]",
            ),
            (serde_json::json!({"time_masks": 100}), "time_masks = 100"),
            (serde_json::json!({"pitch": 1}), "unknown field `pitch`"),
        ] {
            let error = serde_json::from_value::<AugmentConfig>(table).unwrap_err();
            assert!(error.to_string().contains(fault), "{error}");
        }
    }
}
