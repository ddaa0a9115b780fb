//! What Kaldi does to a frame before its Fourier transform.
//!
//! The conventions are those of `compute-fbank-feats` of Kaldi
//! <https://kaldi-asr.org/doc/feat.html> with a Hann window and without dither, and so of
//! `torchaudio.compliance.kaldi.fbank` and of the `ASTFeatureExtractor` of transformers:
//! frames lie within the clip, their mean is taken away, high frequencies are raised.

use std::f64::consts::TAU;

/// The least energy that a logarithm is taken of: the step of `f32` at 1.
pub(super) const FLOOR: f64 = f32::EPSILON as f64;
/// Lowest frequency of a filter where nothing is written, in Hz.
pub(super) const F_MIN: f64 = 20.0;
/// How much of the sample before is taken away.
const PREEMPHASIS: f64 = 0.97;

/// A Hann window of `n` samples whose first and last are 0.
pub(super) fn window(n: usize) -> Vec<f64> {
    let last = n.saturating_sub(1).max(1) as f64;
    let weight = |i: usize| 0.5 - 0.5 * (TAU * i as f64 / last).cos();
    (0..n).map(weight).collect()
}

/// Takes the mean of the samples away, then from each `0.97` of the one before it; from the
/// first that of itself.
pub(super) fn emphasise(samples: &mut [f64]) {
    let mean = samples.iter().sum::<f64>() / samples.len().max(1) as f64;
    let mut before = samples.first().map_or(0.0, |first| first - mean);
    for sample in samples {
        let here = *sample - mean;
        *sample = here - PREEMPHASIS * before;
        before = here;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_symmetric_and_ends_at_0() {
        let window = window(401);
        for i in 0..401 {
            assert!((window[i] - window[400 - i]).abs() < 1e-12);
        }
        assert!(window[0] == 0.0 && (window[200] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn emphasis_is_its_definition_and_deaf_to_an_offset() {
        let mut samples = vec![1.0, 3.0, -1.0, 5.0];
        emphasise(&mut samples);
        // The mean is 2.
        let off = [-1.0, 1.0, -3.0, 3.0];
        let before = [off[0], off[0], off[1], off[2]];
        for i in 0..4 {
            assert!(
                (samples[i] - (off[i] - 0.97 * before[i])).abs() < 1e-12,
                "{i}"
            );
        }
        let mut shifted = vec![11.0, 13.0, 9.0, 15.0];
        emphasise(&mut shifted);
        assert_eq!(samples, shifted);
    }
}
