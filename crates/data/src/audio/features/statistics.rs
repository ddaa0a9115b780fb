//! Mean and deviation of every feature over the training clips.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Clips that are looked at, evenly spaced among all.
const MAX_CLIPS: usize = 500;
/// A column that varies less, as of silence, is shifted but not scaled.
const LEAST_DEVIATION: f64 = 1e-5;

/// What `normalize = "training"` makes of features: `(x - mean) / deviation`, column by
/// column.
///
/// Valid by construction: as many deviations as means, all finite, and deviations positive.
/// They are `f32`, of which the digits in a file are always read back as the same number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawStatistics")]
pub struct Statistics {
    mean: Vec<f32>,
    deviation: Vec<f32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStatistics {
    mean: Vec<f32>,
    deviation: Vec<f32>,
}

impl TryFrom<RawStatistics> for Statistics {
    type Error = String;

    fn try_from(raw: RawStatistics) -> Result<Self, String> {
        let RawStatistics { mean, deviation } = raw;
        if mean.len() != deviation.len() {
            return Err(format!(
                "{} means, but {} deviations",
                mean.len(),
                deviation.len()
            ));
        }
        match mean.iter().all(|x| x.is_finite())
            && deviation.iter().all(|x| x.is_finite() && *x > 0.0)
        {
            true => Ok(Self { mean, deviation }),
            false => Err("means must be finite, and deviations more than 0".into()),
        }
    }
}

impl Statistics {
    /// Those of `n_clips` clips, or of 500 of them, evenly spaced; `frames` makes the frames
    /// of one, `[n, width]`.
    ///
    /// Clips are added up in their order, whatever the number of threads.
    pub(in crate::audio) fn of(
        n_clips: usize,
        width: usize,
        frames: impl Fn(usize) -> Vec<f32> + Sync,
    ) -> Self {
        let n = n_clips.min(MAX_CLIPS);
        let clips: Vec<Moments> = (0..n)
            .into_par_iter()
            .map(|i| Moments::of(&frames(i * n_clips / n), width))
            .collect();
        let all = clips.iter().fold(Moments::none(width), Moments::and);
        let deviation = |squares: &f64| match (squares / all.n).sqrt() {
            deviation if deviation >= LEAST_DEVIATION => deviation as f32,
            _ => 1.0,
        };
        Self {
            mean: all.mean.iter().map(|&mean| mean as f32).collect(),
            deviation: all.squares.iter().map(deviation).collect(),
        }
    }

    /// Features there are.
    pub fn width(&self) -> usize {
        self.mean.len()
    }

    pub(super) fn apply(&self, frames: &mut [Vec<f64>]) {
        for frame in frames {
            for (x, (mean, deviation)) in
                frame.iter_mut().zip(self.mean.iter().zip(&self.deviation))
            {
                *x = (*x - f64::from(*mean)) / f64::from(*deviation);
            }
        }
    }
}

/// Rows, their mean, and the sum of the squares of what is off it.
struct Moments {
    n: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    fn none(width: usize) -> Self {
        Self {
            n: 0.0,
            mean: vec![0.0; width],
            squares: vec![0.0; width],
        }
    }

    fn of(frames: &[f32], width: usize) -> Self {
        let mut moments = Self::none(width);
        let rows = || frames.chunks_exact(width.max(1));
        moments.n = rows().len() as f64;
        for column in 0..width {
            let values = || rows().map(move |row| f64::from(row[column]));
            let mean = values().sum::<f64>() / moments.n.max(1.0);
            moments.mean[column] = mean;
            moments.squares[column] = values().map(|x| (x - mean).powi(2)).sum();
        }
        moments
    }

    /// Those of both together: Chan, Golub & LeVeque 1983.
    fn and(self, other: &Self) -> Self {
        let n = (self.n + other.n).max(1.0);
        let mut sum = self;
        for (i, (mean, squares)) in other.mean.iter().zip(&other.squares).enumerate() {
            let off = mean - sum.mean[i];
            sum.mean[i] += off * other.n / n;
            sum.squares[i] += squares + off * off * sum.n * other.n / n;
        }
        sum.n += other.n;
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clip `i` of `i % 3` frames of two features, of which the second is constant.
    fn clip(i: usize) -> Vec<f32> {
        (0..i % 3)
            .flat_map(|row| [(i * 7 + row * 3) as f32 % 11.0, 4.0])
            .collect()
    }

    #[test]
    fn the_statistics_are_those_of_all_frames_in_a_row() {
        let all: Vec<f64> = (0..40).flat_map(clip).step_by(2).map(f64::from).collect();
        let n = all.len() as f64;
        let mean = all.iter().sum::<f64>() / n;
        let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let got = Statistics::of(40, 2, clip);
        assert!((f64::from(got.mean[0]) - mean).abs() < 1e-6);
        assert!((f64::from(got.deviation[0]) - variance.sqrt()).abs() < 1e-6);
        assert_eq!((got.mean[1], got.deviation[1]), (4.0, 1.0));
        let mut frames = vec![vec![mean + 2.0 * variance.sqrt(), 4.5]];
        got.apply(&mut frames);
        assert!((frames[0][0] - 2.0).abs() < 1e-5 && frames[0][1] == 0.5);
    }

    #[test]
    fn of_many_clips_some_are_looked_at_from_the_first_to_near_the_last() {
        let seen = std::sync::Mutex::new(Vec::new());
        Statistics::of(2001, 1, |i| {
            seen.lock().unwrap().push(i);
            vec![0.0]
        });
        let mut seen = seen.into_inner().unwrap();
        seen.sort_unstable();
        assert_eq!((seen.len(), seen[0], seen[499]), (500, 0, 1996));
        assert!(
            seen.windows(2)
                .all(|pair| (4..=5).contains(&(pair[1] - pair[0])))
        );
    }

    #[test]
    fn a_file_gives_back_the_same_numbers_and_nonsense_is_refused() {
        let statistics = Statistics {
            mean: vec![0.1, -7.3e-12, 1.0 / 3.0],
            deviation: vec![2.0 / 3.0, 1e-5, 12345.678],
        };
        let text = serde_json::to_string(&statistics).unwrap();
        let again: Statistics = serde_json::from_str(&text).unwrap();
        assert_eq!(again, statistics);
        for (text, fault) in [
            (
                r#"{"mean": [1], "deviation": [1, 2]}"#,
                "1 means, but 2 deviations",
            ),
            (r#"{"mean": [1], "deviation": [0]}"#, "more than 0"),
            (r#"{"mean": [1]}"#, "deviation"),
        ] {
            let error = serde_json::from_str::<Statistics>(text).unwrap_err();
            assert!(error.to_string().contains(fault), "{error}");
        }
    }
}
