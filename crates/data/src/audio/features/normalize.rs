//! Clips made alike, or numbers brought to a scale.

use super::Normalize;

/// Shifts every column to mean 0 and, if asked, scales it to variance 1; or does so by numbers
/// that are given.
pub(super) fn normalize(frames: &mut [Vec<f64>], normalize: Normalize) {
    let (n, width) = (frames.len() as f64, frames.first().map_or(0, Vec::len));
    match normalize {
        Normalize::None | Normalize::Training => return,
        Normalize::Fixed { mean, deviation } => {
            for x in frames.iter_mut().flatten() {
                *x = (*x - mean) / deviation;
            }
            return;
        }
        Normalize::Clip | Normalize::Mean => {}
    }
    for column in 0..width {
        let mean = frames.iter().map(|frame| frame[column]).sum::<f64>() / n;
        let squares = frames.iter().map(|frame| (frame[column] - mean).powi(2));
        let spread = match normalize {
            // A constant column, as of silence, stays 0.
            Normalize::Clip => (squares.sum::<f64>() / n).sqrt() + 1e-5,
            _ => 1.0,
        };
        for frame in frames.iter_mut() {
            frame[column] = (frame[column] - mean) / spread;
        }
    }
}
