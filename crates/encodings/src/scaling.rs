//! Rotary angles for sequences longer than those a model was trained on.

use std::f64::consts::PI;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{EncodingError, positive};

/// How the speeds of a rotary encoding are slowed down, so that `factor` times as many
/// positions turn no further than those of the training did.
///
/// With `d` channels a head and speeds `ωᵢ = θ^(−2i/d)`:
///
/// - `linear`: `ωᵢ / factor`; Chen et al. 2023 <https://arxiv.org/abs/2306.15595>.
/// - `ntk`: `θ · factor^(d/(d−2))` for θ, which leaves the fastest pair as it is and divides
///   the slowest by `factor`; Peng et al. 2023, §3.1 <https://arxiv.org/abs/2309.00071>.
/// - `yarn`: `ωᵢ` where a pair turns more than `beta_fast` times over the original length,
///   `ωᵢ / factor` where less than `beta_slow` times, a ramp between; cosines and sines times
///   `attention_factor`; the same, §3.2 to §3.4.
/// - `llama3`: as `yarn`, with bounds on the wavelength, a ramp by its inverse and no factor;
///   the code of Llama 3.1.
///
/// The last two are as in `transformers`: the ends of YaRN's ramp are rounded outwards to
/// whole pairs.
///
/// Valid by construction: constants are positive and finite, `factor` is 1 or more, and
/// bounds are in order.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawScaling", into = "RawScaling")]
pub struct RotaryScaling(RawScaling);

/// How far a model reads beyond the positions that it was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum RawScaling {
    /// Every pair of channels turns `factor` times slower.
    Linear {
        /// How many times longer sequences become.
        factor: f64,
    },
    /// The slower a pair of channels turns, the more it is slowed down, by another `theta`.
    Ntk {
        /// How many times longer sequences become.
        factor: f64,
    },
    /// Pairs of channels that turn fast stay, slow ones are slowed down.
    Yarn {
        /// How many times longer sequences become.
        factor: f64,
        /// Longest sequence that the model was trained on.
        original_max_seq_len: usize,
        /// Pairs that turn more often than this over the original length stay as they are.
        #[serde(default = "beta_fast")]
        beta_fast: f64,
        /// Pairs that turn less often than this turn `factor` times slower.
        #[serde(default = "beta_slow")]
        beta_slow: f64,
        /// By what cosines and sines are multiplied; `0.1 ln(factor) + 1` if absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        attention_factor: Option<f64>,
    },
    /// As "yarn", with the constants and the ramp of Llama 3.1.
    Llama3 {
        /// How many times longer sequences become.
        factor: f64,
        /// Pairs that turn less often than this over the original length turn `factor`
        /// times slower.
        low_freq_factor: f64,
        /// Pairs that turn more often than this stay as they are.
        high_freq_factor: f64,
        /// Longest sequence that the model was trained on.
        original_max_seq_len: usize,
    },
}

fn beta_fast() -> f64 {
    32.0
}

fn beta_slow() -> f64 {
    1.0
}

impl TryFrom<RawScaling> for RotaryScaling {
    type Error = EncodingError;

    fn try_from(raw: RawScaling) -> Result<Self, EncodingError> {
        let (factor, bounds, length) = match raw {
            RawScaling::Linear { factor } | RawScaling::Ntk { factor } => (factor, None, None),
            RawScaling::Yarn {
                factor,
                original_max_seq_len,
                beta_fast,
                beta_slow,
                attention_factor,
            } => {
                positive("scaling.attention_factor", attention_factor.unwrap_or(1.0))?;
                let bounds = [
                    ("scaling.beta_slow", beta_slow),
                    ("scaling.beta_fast", beta_fast),
                ];
                (factor, Some(bounds), Some(original_max_seq_len))
            }
            RawScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_seq_len,
            } => {
                let bounds = [
                    ("scaling.low_freq_factor", low_freq_factor),
                    ("scaling.high_freq_factor", high_freq_factor),
                ];
                (factor, Some(bounds), Some(original_max_seq_len))
            }
        };
        if positive("scaling.factor", factor)? < 1.0 {
            return Err(EncodingError::Shrinks { factor });
        }
        if length == Some(0) {
            let key = "scaling.original_max_seq_len";
            return Err(EncodingError::NotPositive { key, value: 0.0 });
        }
        if let Some([(low, least), (high, most)]) = bounds {
            positive(low, least)?;
            if positive(high, most)? <= least {
                return Err(EncodingError::BoundsCross {
                    low,
                    least,
                    high,
                    most,
                });
            }
        }
        Ok(Self(raw))
    }
}

impl From<RotaryScaling> for RawScaling {
    fn from(scaling: RotaryScaling) -> Self {
        scaling.0
    }
}

impl RotaryScaling {
    /// Checks `theta`, which YaRN takes the logarithm of.
    pub(crate) fn check(self, theta: f64) -> Result<Self, EncodingError> {
        match self.0 {
            RawScaling::Yarn { .. } if theta <= 1.0 => Err(EncodingError::NoRamp { theta }),
            _ => Ok(self),
        }
    }

    /// Radians a position of every pair of channels of a head, `[head_dim / 2]`.
    pub(crate) fn speeds(self, theta: f64, head_dim: usize) -> Vec<f64> {
        let d = head_dim as f64;
        match self.0 {
            RawScaling::Linear { factor } => plain_speeds(theta, head_dim)
                .map(|speed| speed / factor)
                .collect(),
            RawScaling::Ntk { factor } => {
                // A head of two channels has the fastest pair alone, which stays.
                plain_speeds(theta * factor.powf(d / (d - 2.0)), head_dim).collect()
            }
            RawScaling::Yarn {
                factor,
                original_max_seq_len,
                beta_fast,
                beta_slow,
                ..
            } => {
                // The pair that turns so many times over the original length.
                let pair = |turns: f64| {
                    let wavelength = original_max_seq_len as f64 / turns;
                    d * (wavelength / (2.0 * PI)).ln() / (2.0 * theta.ln())
                };
                let first = pair(beta_fast).floor().max(0.0);
                let last = pair(beta_slow).ceil().min(d - 1.0);
                // The ramp of one pair is a step.
                let last = if first == last { last + 0.001 } else { last };
                let slowed = |(i, speed): (usize, f64)| {
                    let share = ((i as f64 - first) / (last - first)).clamp(0.0, 1.0);
                    blend(speed, factor, share)
                };
                plain_speeds(theta, head_dim)
                    .enumerate()
                    .map(slowed)
                    .collect()
            }
            RawScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_seq_len,
            } => {
                let slowed = |speed: f64| {
                    let turns = original_max_seq_len as f64 * speed / (2.0 * PI);
                    let stays = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
                    blend(speed, factor, 1.0 - stays.clamp(0.0, 1.0))
                };
                plain_speeds(theta, head_dim).map(slowed).collect()
            }
        }
    }

    /// By what cosines and sines are multiplied: scores grow by its square.
    pub(crate) fn attention_factor(self) -> f64 {
        match self.0 {
            RawScaling::Yarn {
                factor,
                attention_factor,
                ..
            } => attention_factor.unwrap_or(0.1 * factor.ln() + 1.0),
            _ => 1.0,
        }
    }
}

/// `θ^(−2i/d)` of every pair of channels.
pub(crate) fn plain_speeds(theta: f64, head_dim: usize) -> impl Iterator<Item = f64> {
    (0..head_dim / 2).map(move |i| theta.powf(-2.0 * i as f64 / head_dim as f64))
}

/// A `share` of the slower speed, the rest of the plain one.
fn blend(speed: f64, factor: f64, share: f64) -> f64 {
    share * speed / factor + (1.0 - share) * speed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RotaryConfig;

    fn read(table: &str) -> Result<RotaryScaling, String> {
        let rotary = format!("{{ \"scaling\": {table} }}");
        match serde_json::from_str::<RotaryConfig>(&rotary) {
            Ok(config) => Ok(config.scaling().expect("the table has it")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Computed with 40 digits (mpmath) from the formulas above; those of all but `ntk`, which
    /// it has in another form, agree with `transformers` 5.24 in single precision.
    #[test]
    fn speeds_are_those_computed_elsewhere() {
        let cases: [(&str, f64, f64, &[f64]); 5] = [
            (
                r#"{ "kind": "linear", "factor": 4 }"#,
                10_000.0,
                1.0,
                &[0.25, 0.025, 0.0025, 0.00025],
            ),
            (
                r#"{ "kind": "ntk", "factor": 4 }"#,
                10_000.0,
                1.0,
                &[1.0, 0.0629960524947437, 0.0039685026299205, 0.00025],
            ),
            (
                r#"{ "kind": "yarn", "factor": 4, "original_max_seq_len": 256 }"#,
                10_000.0,
                1.13862943611199,
                &[
                    1.0,
                    0.256935059888681,
                    0.0625,
                    0.0138349647632367,
                    0.0025,
                    0.000790569415042095,
                    0.00025,
                    7.90569415042095e-05,
                ],
            ),
            (
                r#"{ "kind": "yarn", "factor": 16, "original_max_seq_len": 2048,
                     "beta_fast": 8, "beta_slow": 2, "attention_factor": 1.5 }"#,
                10_000.0,
                1.5,
                &[
                    1.0,
                    0.316227766016838,
                    0.1,
                    0.0316227766016838,
                    0.0053125,
                    0.000197642353760524,
                    6.25e-5,
                    1.97642353760524e-05,
                ],
            ),
            (
                r#"{ "kind": "llama3", "factor": 8, "low_freq_factor": 1,
                     "high_freq_factor": 4, "original_max_seq_len": 8192 }"#,
                500_000.0,
                1.0,
                &[
                    1.0,
                    0.193922744748686,
                    0.0376060309308639,
                    0.00729266473721711,
                    0.000524846160992955,
                    3.42810219595259e-05,
                    6.64786987118124e-06,
                    1.28917317215156e-06,
                ],
            ),
        ];
        for (table, theta, factor, want) in cases {
            let scaling = read(table).expect(table);
            let got = scaling.speeds(theta, 2 * want.len());
            assert_eq!(got.len(), want.len());
            for (got, want) in got.iter().zip(want) {
                assert!((got / want - 1.0).abs() < 1e-13, "{table}: {got} {want}");
            }
            assert!(
                (scaling.attention_factor() - factor).abs() < 1e-15,
                "{table}"
            );
        }
    }

    #[test]
    fn a_factor_of_one_changes_nothing() {
        for table in [
            r#"{ "kind": "linear", "factor": 1 }"#,
            r#"{ "kind": "ntk", "factor": 1 }"#,
            r#"{ "kind": "yarn", "factor": 1, "original_max_seq_len": 64 }"#,
            r#"{ "kind": "llama3", "factor": 1, "low_freq_factor": 1, "high_freq_factor": 4,
                 "original_max_seq_len": 64 }"#,
        ] {
            let scaling = read(table).expect(table);
            for head_dim in [2, 4, 64] {
                let plain = plain_speeds(10_000.0, head_dim);
                for (got, want) in scaling.speeds(10_000.0, head_dim).into_iter().zip(plain) {
                    assert!((got / want - 1.0).abs() < 1e-14, "{table}: {got} {want}");
                }
            }
            assert_eq!(scaling.attention_factor(), 1.0);
        }
    }

    #[test]
    fn the_fastest_pair_stays_and_the_slowest_is_slowed() {
        for (table, fastest) in [
            (r#"{ "kind": "linear", "factor": 8 }"#, 0.125),
            (r#"{ "kind": "ntk", "factor": 8 }"#, 1.0),
            (
                r#"{ "kind": "yarn", "factor": 8, "original_max_seq_len": 1024 }"#,
                1.0,
            ),
        ] {
            let speeds = read(table).expect(table).speeds(10_000.0, 64);
            assert!((speeds[0] - fastest).abs() < 1e-15, "{table}");
            let slowest = plain_speeds(10_000.0, 64).last().expect("32 pairs");
            assert!((speeds[31] / slowest * 8.0 - 1.0).abs() < 1e-13, "{table}");
        }
    }

    #[test]
    fn what_is_no_scaling_is_told_with_key_and_value() {
        for (table, want) in [
            (r#"{ "kind": "linear" }"#, "missing field `factor`"),
            (r#"{ "factor": 2 }"#, "missing field `kind`"),
            (
                r#"{ "kind": "dynamic", "factor": 2 }"#,
                "unknown variant `dynamic`",
            ),
            (
                r#"{ "kind": "linear", "factor": 2, "beta_fast": 1 }"#,
                "unknown field `beta_fast`",
            ),
            (
                r#"{ "kind": "ntk", "factor": 0.5 }"#,
                "scaling.factor = 0.5 shortens sequences; use 1 or more",
            ),
            (
                r#"{ "kind": "ntk", "factor": 0 }"#,
                "scaling.factor = 0 is not a positive number",
            ),
            (
                r#"{ "kind": "yarn", "factor": 2, "original_max_seq_len": 0 }"#,
                "scaling.original_max_seq_len = 0 is not a positive number",
            ),
            (
                r#"{ "kind": "yarn", "factor": 2, "original_max_seq_len": 8, "beta_fast": 0.5 }"#,
                "scaling.beta_fast = 0.5 is not above scaling.beta_slow = 1; swap them",
            ),
            (
                r#"{ "kind": "yarn", "factor": 2, "original_max_seq_len": 8,
                     "attention_factor": -1 }"#,
                "scaling.attention_factor = -1 is not a positive number",
            ),
            (
                r#"{ "kind": "llama3", "factor": 2, "low_freq_factor": 4,
                     "high_freq_factor": 4, "original_max_seq_len": 8 }"#,
                "scaling.high_freq_factor = 4 is not above scaling.low_freq_factor = 4",
            ),
        ] {
            let said = read(table).expect_err(table);
            assert!(said.contains(want), "{table}: {said}");
        }
        let steep = r#"{ "theta": 1.0,
            "scaling": { "kind": "yarn", "factor": 2, "original_max_seq_len": 8 } }"#;
        let said = serde_json::from_str::<RotaryConfig>(steep).expect_err(steep);
        assert!(said.to_string().contains("use more than 1"), "{said}");
    }
}
