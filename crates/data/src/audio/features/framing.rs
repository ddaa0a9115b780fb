//! How a clip is cut into frames, by one of two conventions.

use std::f64::consts::TAU;

use super::{FeatureKind, fbank};

/// Where frames lie in a clip, and what is done to one before its Fourier transform.
#[derive(Debug, Clone)]
pub(super) struct Framing {
    /// As long as the transform: 0 where the window is not.
    window: Vec<f64>,
    /// Samples of the window.
    len: usize,
    hop: usize,
    convention: Convention,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Convention {
    /// librosa's: frames around every `hop`-th sample, a periodic window in their middle.
    Centred,
    /// Kaldi's: frames within the clip, which [`fbank`] prepares.
    Within,
}

impl Framing {
    /// Frames of `len` samples every `hop`, with silence up to the `n_fft` of the transform.
    pub(super) fn new(kind: FeatureKind, len: usize, hop: usize, n_fft: usize) -> Self {
        let convention = match kind {
            FeatureKind::Fbank => Convention::Within,
            FeatureKind::LogMel | FeatureKind::Mfcc => Convention::Centred,
        };
        let mut window = vec![0.0; n_fft];
        match convention {
            Convention::Within => window[..len].copy_from_slice(&fbank::window(len)),
            Convention::Centred => {
                let left = (n_fft - len) / 2;
                for (i, weight) in window[left..left + len].iter_mut().enumerate() {
                    *weight = 0.5 - 0.5 * (TAU * i as f64 / len as f64).cos();
                }
            }
        }
        Self {
            window,
            len,
            hop,
            convention,
        }
    }

    /// Samples of the window.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Samples from one frame to the next.
    pub(super) fn hop(&self) -> usize {
        self.hop
    }

    /// Frames of so many samples.
    pub(super) fn n_frames(&self, n_samples: usize) -> usize {
        match self.convention {
            Convention::Centred => 1 + n_samples / self.hop,
            Convention::Within => 1 + n_samples.saturating_sub(self.len) / self.hop,
        }
    }

    /// The sample in the middle of a frame.
    pub(super) fn middle(&self, frame: usize) -> usize {
        match self.convention {
            Convention::Centred => frame * self.hop,
            Convention::Within => frame * self.hop + self.len / 2,
        }
    }

    /// The least energy that a logarithm is taken of.
    pub(super) fn floor(&self) -> f64 {
        match self.convention {
            Convention::Centred => 1e-10,
            Convention::Within => fbank::FLOOR,
        }
    }

    /// Fills `frame`, as long as the transform, with the frame `i` of `samples`, windowed.
    pub(super) fn cut(&self, samples: &[f32], i: usize, frame: &mut [f64]) {
        // Samples before the first that the first frame begins at.
        let lead = match self.convention {
            Convention::Centred => self.window.len() / 2,
            Convention::Within => 0,
        };
        for (j, slot) in frame.iter_mut().enumerate() {
            let at = (i * self.hop + j).checked_sub(lead);
            let sample = at.and_then(|at| samples.get(at));
            *slot = sample.map_or(0.0, |&sample| f64::from(sample));
        }
        if self.convention == Convention::Within {
            fbank::emphasise(&mut frame[..self.len]);
        }
        for (slot, weight) in frame.iter_mut().zip(&self.window) {
            *slot *= weight;
        }
    }
}
