//! Sound at another sample rate.

use rubato::audioadapter::Adapter;
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};

use super::decode::Sound;

/// Samples that are resampled at a time, at least.
const CHUNK: usize = 1024;

/// `sound` with `rate` samples a second; frequencies above half of it are gone.
///
/// The result has `⌈n · rate / sound.rate⌉` samples. Band-limited, by Fourier transforms
/// of blocks.
pub fn resample(sound: Sound, rate: u32) -> std::result::Result<Vec<f32>, String> {
    if sound.rate == rate {
        return Ok(sound.samples);
    }
    let (from, to) = (sound.rate as usize, rate as usize);
    let failed = |what: &dyn std::fmt::Display| {
        format!("cannot be resampled from {from} to {to} Hz: {what}")
    };
    let input = InterleavedSlice::new(&sound.samples, 1, sound.samples.len())
        .map_err(|error| failed(&error))?;
    let mut resampler = Fft::<f32>::new(from, to, block(from, to), 1, FixedSync::Both)
        .map_err(|error| failed(&error))?;
    let output = resampler
        .process_all(&input, input.frames(), None)
        .map_err(|error| failed(&error))?;
    Ok(output.take_data())
}

/// Samples of a block at rate `from`: a whole and even number at either rate. The delay
/// of the transform is half a block, and half of an odd one would be cut to whole samples.
fn block(from: usize, to: usize) -> usize {
    let pair = 2 * (from / greatest_common_divisor(from, to));
    pair * CHUNK.div_ceil(pair)
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    match b {
        0 => a,
        _ => greatest_common_divisor(b, a % b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: u32, hertz: f64, n: usize) -> Sound {
        let sample = |i| (std::f64::consts::TAU * hertz * i as f64 / f64::from(rate)).sin() as f32;
        Sound {
            samples: (0..n).map(sample).collect(),
            rate,
        }
    }

    #[test]
    fn a_tone_stays_the_same_tone_in_time_and_height() {
        for (from, to) in [
            (44_100, 16_000),
            (8_000, 16_000),
            (48_000, 8_000),
            (11_025, 8_000),
        ] {
            let n = from as usize / 2;
            let got = resample(tone(from, 440.0, n), to).unwrap();
            assert_eq!(got.len(), (n * to as usize).div_ceil(from as usize));
            // Away from the ends, where the tone starts and stops at once.
            let errors = (got.len() / 4..got.len() * 3 / 4).map(|i| {
                let t = i as f64 / f64::from(to);
                (f64::from(got[i]) - (std::f64::consts::TAU * 440.0 * t).sin()).abs()
            });
            let error = errors.fold(0.0, f64::max);
            // A delay of a tenth of an input sample would show as 0.004.
            assert!(error < 1e-4, "{from} -> {to}: {error}");
        }
    }

    #[test]
    fn what_the_new_rate_cannot_hold_is_gone() {
        let got = resample(tone(16_000, 6_000.0, 16_000), 8_000).unwrap();
        let middle = &got[got.len() / 4..got.len() * 3 / 4];
        assert!(middle.iter().all(|sample| sample.abs() < 2e-3));
        let same = tone(8_000, 100.0, 10);
        assert_eq!(resample(same.clone(), 8_000).unwrap(), same.samples);
    }
}
