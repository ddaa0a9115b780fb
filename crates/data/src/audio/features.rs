//! Samples to frames: log-mel energies and cepstra, and Kaldi's filter bank.
//!
//! The conventions of the last are told in its file. Those of the others are librosa's
//! <https://librosa.org>: frames are centred, which pads a clip by half a frame of silence on
//! both sides, the window is a periodic Hann window, and filters have unit area.

mod config;
mod deltas;
mod fbank;
mod framing;
mod normalize;
mod statistics;

use std::f64::consts::PI;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

pub use self::config::{FeatureConfig, FeatureKind, Normalize, Scale};
use self::deltas::deltas;
use self::framing::Framing;
use self::normalize::normalize;
pub use self::statistics::Statistics;
use super::mel::Filters;

/// Makes frames of samples.
#[derive(Clone)]
pub struct Extractor {
    config: FeatureConfig,
    fft: Arc<dyn RealToComplex<f64>>,
    framing: Framing,
    filters: Filters,
    /// `[n_mfcc, n_mels]`, for cepstra
    cosines: Vec<Vec<f64>>,
    statistics: Option<Arc<Statistics>>,
}

impl Extractor {
    /// For sound with `rate` samples a second.
    ///
    /// # Errors
    ///
    /// What does not fit together, as `key = value …; remedy`: frames that are too short
    /// or too long, or filters that lie between the frequencies that a frame tells apart.
    pub fn new(config: &FeatureConfig, rate: u32) -> Result<Self, String> {
        let (window_len, hop, n_fft) = config.lengths(rate)?;
        let high = config.f_max().unwrap_or(f64::from(rate) / 2.0);
        if high > f64::from(rate) / 2.0 || high <= config.f_min() {
            return Err(format!(
                "f_max = {high} is not between f_min = {} and {}, half of sample_rate; change it",
                config.f_min(),
                f64::from(rate) / 2.0
            ));
        }
        let band = (config.f_min(), high);
        let filters = match config.kind() {
            FeatureKind::Fbank => Filters::kaldi(config.n_mels(), n_fft, rate, band),
            FeatureKind::LogMel | FeatureKind::Mfcc => {
                Filters::new(config.n_mels(), n_fft, rate, band, config.mel())
            }
        };
        // Kaldi has filters that lie between two frequencies, and models that know of them.
        if config.kind() != FeatureKind::Fbank && filters.n_empty() > 0 {
            return Err(format!(
                "n_mels = {} is too many for n_fft = {n_fft}: {} filters lie between two frequencies; \
                 make n_mels smaller or n_fft larger",
                config.n_mels(),
                filters.n_empty()
            ));
        }
        let cosines = match config.kind() {
            FeatureKind::LogMel | FeatureKind::Fbank => Vec::new(),
            FeatureKind::Mfcc => cosines(config.n_mfcc(), config.n_mels()),
        };
        Ok(Self {
            config: config.clone(),
            fft: RealFftPlanner::new().plan_fft_forward(n_fft),
            framing: Framing::new(config.kind(), window_len, hop, n_fft),
            filters,
            cosines,
            statistics: None,
        })
    }

    /// The same, with frames that `statistics`, of as many features, normalise.
    #[must_use]
    pub fn with_statistics(self, statistics: Arc<Statistics>) -> Self {
        debug_assert_eq!(statistics.width(), self.width());
        Self {
            statistics: Some(statistics),
            ..self
        }
    }

    /// Numbers in a frame.
    pub fn width(&self) -> usize {
        self.config.width()
    }

    /// Frames of so many samples.
    pub fn n_frames(&self, n_samples: usize) -> usize {
        self.framing.n_frames(n_samples)
    }

    /// The sample in the middle of a frame.
    pub(super) fn middle(&self, frame: usize) -> usize {
        self.framing.middle(frame)
    }

    /// Samples from one frame to the next.
    pub fn hop(&self) -> usize {
        self.framing.hop()
    }

    /// Samples of which a frame is made: fewer are not a clip.
    pub fn min_samples(&self) -> usize {
        self.framing.len()
    }

    /// The frames of a clip, one after the other.
    ///
    /// # Shapes
    ///
    /// - `samples`: `[n]`
    /// - returns: `[n_frames, width]`
    pub fn extract(&self, samples: &[f32]) -> Vec<f32> {
        let energies = self.energies(samples);
        let base = match self.config.kind() {
            FeatureKind::LogMel | FeatureKind::Fbank => energies,
            FeatureKind::Mfcc => energies.iter().map(|frame| self.cepstrum(frame)).collect(),
        };
        let mut frames = deltas(base, self.config.deltas());
        normalize(&mut frames, self.config.normalize());
        if let Some(statistics) = &self.statistics {
            statistics.apply(&mut frames);
        }
        frames.concat().into_iter().map(|x| x as f32).collect()
    }

    /// Logarithms of the energy in each band, `[n_frames][n_mels]`.
    fn energies(&self, samples: &[f32]) -> Vec<Vec<f64>> {
        let n_frames = self.n_frames(samples.len());
        let mut frame = self.fft.make_input_vec();
        let mut spectrum: Vec<Complex<f64>> = self.fft.make_output_vec();
        let mut scratch = self.fft.make_scratch_vec();
        let mut powers = vec![0.0; spectrum.len()];
        let mut frames = Vec::with_capacity(n_frames);
        for i in 0..n_frames {
            self.framing.cut(samples, i, &mut frame);
            self.fft
                .process_with_scratch(&mut frame, &mut spectrum, &mut scratch)
                .expect("the buffers are those that the transform has made");
            for (power, bin) in powers.iter_mut().zip(&spectrum) {
                *power = bin.norm_sqr();
            }
            let mut energies = Vec::with_capacity(self.config.n_mels());
            self.filters.apply(&powers, &mut energies);
            frames.push(energies);
        }
        let floor = self.framing.floor();
        logarithm(
            &mut frames,
            floor,
            self.config.scale(),
            self.config.top_db(),
        );
        frames
    }

    fn cepstrum(&self, energies: &[f64]) -> Vec<f64> {
        let along = |cosine: &Vec<f64>| {
            let products = cosine.iter().zip(energies).map(|(c, x)| c * x);
            products.sum()
        };
        self.cosines.iter().map(along).collect()
    }
}

impl std::fmt::Debug for Extractor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Extractor")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Of energies; decibels are lifted to `top_db` below the loudest of the clip.
fn logarithm(frames: &mut [Vec<f64>], floor: f64, scale: Scale, top_db: Option<f64>) {
    let per_ln = match scale {
        Scale::Ln => 1.0,
        Scale::Db => 10.0 / 10f64.ln(),
    };
    let mut loudest = f64::NEG_INFINITY;
    for x in frames.iter_mut().flatten() {
        *x = per_ln * x.max(floor).ln();
        loudest = loudest.max(*x);
    }
    if let (Scale::Db, Some(top_db)) = (scale, top_db) {
        for x in frames.iter_mut().flatten() {
            *x = x.max(loudest - top_db);
        }
    }
}

/// The orthonormal discrete cosine transform, type II, of which `n_mfcc` rows.
fn cosines(n_mfcc: usize, n_mels: usize) -> Vec<Vec<f64>> {
    let n = n_mels as f64;
    let row = |k: usize| {
        let scale = if k == 0 { 1.0 / n } else { 2.0 / n };
        let cosine = |j: usize| (PI * k as f64 * (j as f64 + 0.5) / n).cos() * scale.sqrt();
        (0..n_mels).map(cosine).collect()
    };
    (0..n_mfcc).map(row).collect()
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn config(table: serde_json::Value) -> FeatureConfig {
        serde_json::from_value(table).unwrap()
    }

    fn noise(n: usize) -> Vec<f32> {
        let draw = |i| crate::order::draw("noise", 1, i, 2001) as f32 / 1000.0 - 1.0;
        (0..n as u64).map(draw).collect()
    }

    /// The definition: a Fourier sum for each bin.
    #[test]
    fn energies_are_those_of_plain_loops() {
        let config = config(serde_json::json!({
            "window": 50, "hop": 20, "n_fft": 64, "n_mels": 5, "normalize": "none", "scale": "ln"
        }));
        let extractor = Extractor::new(&config, 1000).unwrap();
        let samples = noise(130);
        let got = extractor.extract(&samples);
        assert_eq!(got.len(), 7 * 5);
        for frame in 0..7 {
            let mut powers = vec![0.0; 33];
            for (bin, power) in powers.iter_mut().enumerate() {
                let (mut re, mut im) = (0.0, 0.0);
                for j in 0..50 {
                    // The window stands in the middle of the transform.
                    let at = (frame * 20 + 7 + j) as i64 - 32;
                    let x = usize::try_from(at).ok().and_then(|at| samples.get(at));
                    let x = x.map_or(0.0, |&x| f64::from(x))
                        * (0.5 - 0.5 * (TAU * j as f64 / 50.0).cos());
                    let angle = TAU * bin as f64 * (7 + j) as f64 / 64.0;
                    (re, im) = (re + x * angle.cos(), im - x * angle.sin());
                }
                *power = re * re + im * im;
            }
            let mut energies = Vec::new();
            extractor.filters.apply(&powers, &mut energies);
            for (column, energy) in energies.iter().enumerate() {
                let difference = f64::from(got[frame * 5 + column]) - energy.ln();
                assert!(difference.abs() < 1e-5, "{frame}, {column}: {difference}");
            }
        }
    }

    #[test]
    fn normalized_columns_have_mean_0_and_variance_1() {
        for kind in ["log-mel", "mfcc"] {
            let config = config(serde_json::json!({
                "kind": kind, "n_mels": 20, "n_mfcc": 12, "deltas": 2, "normalize": "clip"
            }));
            let extractor = Extractor::new(&config, 8000).unwrap();
            let width = extractor.width();
            assert_eq!(width, if kind == "mfcc" { 36 } else { 60 });
            let frames = extractor.extract(&noise(4000));
            assert_eq!(frames.len(), extractor.n_frames(4000) * width);
            for column in 0..width {
                let x: Vec<f64> = frames[column..]
                    .iter()
                    .step_by(width)
                    .map(|&x| f64::from(x))
                    .collect();
                let n = x.len() as f64;
                let mean = x.iter().sum::<f64>() / n;
                let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
                assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-3);
            }
        }
    }

    #[test]
    fn silence_is_finite() {
        for (kind, scale) in [("log-mel", "ln"), ("log-mel", "db"), ("fbank", "db")] {
            let table = serde_json::json!({"kind": kind, "scale": scale, "n_mels": 20});
            let config = config(table);
            let extractor = Extractor::new(&config, 8000).unwrap();
            assert!(
                extractor
                    .extract(&[0.0; 1000])
                    .iter()
                    .all(|x| x.is_finite())
            );
        }
    }

    #[test]
    fn a_filter_bank_has_whole_frames_alone_and_numbers_that_are_given() {
        let of = |normalize: serde_json::Value| {
            let table = serde_json::json!({"kind": "fbank", "normalize": normalize});
            Extractor::new(&config(table), 8000).unwrap()
        };
        let plain = of("none".into());
        // 200 samples every 80: of fewer there is none, but what augmentation shortens is heard.
        let counts = [100, 200, 279, 280, 360].map(|n| plain.n_frames(n));
        assert_eq!((counts, plain.min_samples()), ([1, 1, 1, 2, 3], 200));
        assert_eq!((plain.middle(0), plain.middle(2)), (100, 260));
        let samples = noise(300);
        let (plain, fixed) = (
            plain.extract(&samples),
            of(serde_json::json!({"fixed": {"mean": -4.0, "deviation": 2.5}})).extract(&samples),
        );
        assert_eq!(plain.len(), 2 * 40);
        for (plain, fixed) in plain.iter().zip(fixed) {
            assert!((fixed - (plain + 4.0) / 2.5).abs() < 1e-5);
        }
        // As loud by an offset: it is taken away from each frame.
        let louder: Vec<f32> = samples.iter().map(|x| x + 0.25).collect();
        for (plain, louder) in plain.iter().zip(of("none".into()).extract(&louder)) {
            assert!((louder - plain).abs() < 1e-3, "{louder} {plain}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused_with_its_key() {
        for (table, rate, fault) in [
            (
                serde_json::json!({"n_mels": 200}),
                8000,
                "n_mels = 200 is too many for n_fft = 256",
            ),
            (
                serde_json::json!({"n_fft": 128, "window": 200}),
                8000,
                "n_fft = 128",
            ),
            (serde_json::json!({"f_max": 5000.0}), 8000, "f_max = 5000"),
            (serde_json::json!({"hop_ms": 0.01}), 8000, "hop"),
            (serde_json::json!({"window_ms": 1e12}), 8000, "window"),
        ] {
            let error = Extractor::new(&config(table), rate).unwrap_err();
            assert!(error.contains(fault), "{error}");
        }
    }
}
