//! The mel scale: frequencies as far apart as they sound.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A formula for the mel scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MelScale {
    /// Linear below 1 kHz, logarithmic above (Slaney 1998, Auditory Toolbox)
    #[default]
    Slaney,
    /// `2595 log₁₀(1 + f / 700)`, as in HTK
    Htk,
}

impl MelScale {
    const LINEAR: f64 = 200.0 / 3.0;
    const BREAK: f64 = 1000.0;

    /// Mels of a frequency in Hz.
    fn of(self, hertz: f64) -> f64 {
        match self {
            Self::Htk => 2595.0 * (1.0 + hertz / 700.0).log10(),
            Self::Slaney if hertz < Self::BREAK => hertz / Self::LINEAR,
            Self::Slaney => Self::BREAK / Self::LINEAR + (hertz / Self::BREAK).ln() / step(),
        }
    }

    /// The frequency of so many mels, in Hz.
    fn hertz(self, mel: f64) -> f64 {
        let knee = Self::BREAK / Self::LINEAR;
        match self {
            Self::Htk => 700.0 * (10f64.powf(mel / 2595.0) - 1.0),
            Self::Slaney if mel < knee => mel * Self::LINEAR,
            Self::Slaney => Self::BREAK * (step() * (mel - knee)).exp(),
        }
    }
}

/// 27 steps from 1 to 6.4 kHz.
fn step() -> f64 {
    6.4f64.ln() / 27.0
}

/// Triangular filters, of which each takes what is near one mel frequency.
#[derive(Debug, Clone)]
pub(super) struct Filters {
    /// The first bin that each filter reads, and its weights from there on.
    filters: Vec<(usize, Vec<f64>)>,
}

impl Filters {
    /// `n` filters between `low` and `high` Hz over the bins of a transform of `n_fft`
    /// samples taken `rate` times a second; each of unit area in Hz.
    pub(super) fn new(
        n: usize,
        n_fft: usize,
        rate: u32,
        (low, high): (f64, f64),
        scale: MelScale,
    ) -> Self {
        let (first, last) = (scale.of(low), scale.of(high));
        let corner = |i: usize| scale.hertz(first + (last - first) * i as f64 / (n + 1) as f64);
        let hertz = |bin: usize| bin as f64 * f64::from(rate) / n_fft as f64;
        let filter = |i| {
            let (left, peak, right) = (corner(i), corner(i + 1), corner(i + 2));
            let area = 2.0 / (right - left);
            let weight = |bin: usize| {
                let rise = (hertz(bin) - left) / (peak - left);
                let fall = (right - hertz(bin)) / (right - peak);
                rise.min(fall).max(0.0) * area
            };
            let bins = 0..=n_fft / 2;
            let start = bins.clone().find(|&bin| weight(bin) > 0.0).unwrap_or(0);
            let weights = (start..=n_fft / 2)
                .map(weight)
                .take_while(|&weight| weight > 0.0)
                .collect();
            (start, weights)
        };
        Self {
            filters: (0..n).map(filter).collect(),
        }
    }

    /// As [`Filters::new`], but straight in mels, where they are equally far apart, and 1 at
    /// their peak: those of Kaldi. Some of them may lie between two bins.
    pub(super) fn kaldi(n: usize, n_fft: usize, rate: u32, (low, high): (f64, f64)) -> Self {
        // Kaldi's mels are this one's times a factor, which a triangle does not see.
        let scale = MelScale::Htk;
        let (first, last) = (scale.of(low), scale.of(high));
        let step = (last - first) / (n + 1) as f64;
        let filter = |i: usize| {
            let peak = first + (i + 1) as f64 * step;
            let weight = |bin: usize| {
                let mel = scale.of(bin as f64 * f64::from(rate) / n_fft as f64);
                (1.0 - (mel - peak).abs() / step).max(0.0)
            };
            let bins = 0..=n_fft / 2;
            let start = bins.clone().find(|&bin| weight(bin) > 0.0).unwrap_or(0);
            let weights = (start..=n_fft / 2).map(weight);
            (start, weights.take_while(|&weight| weight > 0.0).collect())
        };
        Self {
            filters: (0..n).map(filter).collect(),
        }
    }

    /// What each filter takes of `spectrum`.
    pub(super) fn apply(&self, spectrum: &[f64], energies: &mut Vec<f64>) {
        energies.clear();
        energies.extend(self.filters.iter().map(|(start, weights)| {
            let bins = &spectrum[*start..];
            weights
                .iter()
                .zip(bins)
                .map(|(weight, x)| weight * x)
                .sum::<f64>()
        }));
    }

    /// Filters that lie between two bins and take nothing.
    pub(super) fn n_empty(&self) -> usize {
        self.filters
            .iter()
            .filter(|(_, weights)| weights.is_empty())
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scales_are_monotonous_and_turn_back() {
        for scale in [MelScale::Slaney, MelScale::Htk] {
            let mut before = -1.0;
            for hertz in [0.0, 1.0, 440.0, 999.0, 1000.0, 1001.0, 4000.0, 8000.0] {
                let mel = scale.of(hertz);
                assert!(mel > before);
                assert!((scale.hertz(mel) - hertz).abs() < 1e-9 * (1.0 + hertz));
                before = mel;
            }
        }
        assert!((MelScale::Slaney.of(1000.0) - 15.0).abs() < 1e-12);
        assert!((MelScale::Htk.of(1000.0) - 999.985_537).abs() < 1e-5);
    }

    #[test]
    fn filters_between_two_bins_are_counted() {
        let filters = |n| Filters::new(n, 256, 8000, (0.0, 4000.0), MelScale::Slaney);
        assert_eq!(filters(20).n_empty(), 0);
        assert!(filters(200).n_empty() > 0);
    }
}
