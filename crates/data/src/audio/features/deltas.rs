//! How features change over time.

/// Frames on either side from which a slope is fitted, nine in all.
const REACH: usize = 4;

/// Appends to each frame the slope of its numbers, and the slope of the slope, `times` in all.
///
/// The slope of the straight line fitted to nine frames,
/// `Σₙ n (x[t + n] - x[t - n]) / (2 Σₙ n²)`; frames before the first are the first, after
/// the last the last.
pub(super) fn deltas(mut frames: Vec<Vec<f64>>, times: usize) -> Vec<Vec<f64>> {
    let width = frames.first().map_or(0, Vec::len);
    for time in 0..times {
        let slopes = slopes(&frames, time * width..(time + 1) * width);
        for (frame, slope) in frames.iter_mut().zip(slopes) {
            frame.extend(slope);
        }
    }
    frames
}

fn slopes(frames: &[Vec<f64>], columns: std::ops::Range<usize>) -> Vec<Vec<f64>> {
    let norm: f64 = (1..=REACH).map(|n| 2.0 * (n * n) as f64).sum();
    let last = frames.len().saturating_sub(1);
    let slope = |t: usize, column: usize| {
        let terms = (1..=REACH).map(|n| {
            let (after, before) = ((t + n).min(last), t.saturating_sub(n));
            n as f64 * (frames[after][column] - frames[before][column])
        });
        terms.sum::<f64>() / norm
    };
    (0..frames.len())
        .map(|t| columns.clone().map(|column| slope(t, column)).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_of_a_line_is_its_slope_and_has_none_itself() {
        let line: Vec<Vec<f64>> = (0..30).map(|t| vec![3.0 * f64::from(t), 1.0]).collect();
        let frames = deltas(line, 2);
        for frame in &frames[8..22] {
            let want = [3.0, 0.0, 0.0, 0.0];
            for (got, want) in frame[2..].iter().zip(want) {
                assert!((got - want).abs() < 1e-9, "{frame:?}");
            }
        }
        assert_eq!(deltas(vec![vec![5.0]], 1), [[5.0, 0.0]]);
        assert!(deltas(Vec::new(), 2).is_empty());
    }
}
