//! Clips joined to strings: sequences to spell, made of words that were spoken alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AudioDataConfig;
use crate::order;

/// How clips are joined.
///
/// All clips of a string come from one split and, with a `column`, from one value of it,
/// such as one speaker. Training strings are new in every epoch; the others stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawJoinConfig")]
#[schemars(with = "RawJoinConfig")]
pub struct JoinConfig {
    clips: [usize; 2],
    gap_ms: [f64; 2],
    strings: u32,
    eval_strings: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<String>,
}

/// How clips are joined to strings
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "JoinConfig")]
struct RawJoinConfig {
    /// Fewest and most clips of a string
    clips: [usize; 2],
    /// Silence between two clips, drawn between these, in milliseconds
    #[serde(default)]
    gap_ms: [f64; 2],
    /// Training strings an epoch
    #[schemars(range(min = 1))]
    strings: u32,
    /// Strings to validate on, and to test on
    #[serde(default = "default_eval_strings")]
    #[schemars(range(min = 1))]
    eval_strings: u32,
    /// Column of the manifest that all clips of a string share, such as `speaker`
    #[serde(default)]
    column: Option<String>,
}

fn default_eval_strings() -> u32 {
    500
}

impl TryFrom<RawJoinConfig> for JoinConfig {
    type Error = String;

    fn try_from(raw: RawJoinConfig) -> Result<Self, String> {
        let RawJoinConfig {
            clips,
            gap_ms,
            strings,
            eval_strings,
            column,
        } = raw;
        let [fewest, most] = clips;
        if fewest == 0 || fewest > most || most > 1000 {
            return Err(format!(
                "join.clips = [{fewest}, {most}] is out of range; use two rising numbers from 1 to 1000"
            ));
        }
        let [shortest, longest] = gap_ms;
        if !(shortest >= 0.0 && shortest <= longest && longest <= 60_000.0) {
            return Err(format!(
                "join.gap_ms = [{shortest}, {longest}] is out of range; use two rising numbers from 0 to 60000"
            ));
        }
        if strings == 0 || eval_strings == 0 {
            return Err("join.strings = 0 leaves nothing to read; use 1 or more".into());
        }
        Ok(Self {
            clips,
            gap_ms,
            strings,
            eval_strings,
            column,
        })
    }
}

/// What a string is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recipe {
    /// Which clips, in order.
    pub(super) clips: Vec<usize>,
    /// Samples of silence before each.
    pub(super) gaps: Vec<usize>,
}

impl JoinConfig {
    /// Strings of an epoch of training, or of another split.
    pub(super) fn n_strings(&self, training: bool) -> u64 {
        u64::from(if training {
            self.strings
        } else {
            self.eval_strings
        })
    }

    /// Column that all clips of a string share.
    pub(super) fn column(&self) -> Option<&str> {
        self.column.as_deref()
    }

    /// Samples of the longest string of the longest clips.
    pub(super) fn max_samples(&self, config: &AudioDataConfig) -> usize {
        let gap = self.gap_ms[1] / 1000.0 * f64::from(config.sample_rate());
        self.clips[1] * (config.max_samples() + gap.ceil() as usize)
    }

    /// The clips of string `index` in `epoch`, of one of `groups` of clips.
    pub(super) fn recipe(
        &self,
        groups: &[Vec<usize>],
        rate: u32,
        (seed, epoch, index): (u64, u64, u64),
    ) -> Recipe {
        // Every string is a stream of its own.
        let stream = seed ^ order::draw("string", index, epoch, u64::MAX);
        let mut drawn = 0;
        let mut draw = |bound: usize| {
            drawn += 1;
            order::draw("join", stream, drawn, bound as u64) as usize
        };
        let group = &groups[draw(groups.len())];
        let [fewest, most] = self.clips;
        let n = fewest + draw(most - fewest + 1);
        let samples = |ms: f64| (ms / 1000.0 * f64::from(rate)).round() as usize;
        let (shortest, longest) = (samples(self.gap_ms[0]), samples(self.gap_ms[1]));
        let mut recipe = Recipe {
            clips: Vec::with_capacity(n),
            gaps: Vec::with_capacity(n),
        };
        for i in 0..n {
            recipe.clips.push(group[draw(group.len())]);
            let gap = shortest + draw(longest - shortest + 1);
            recipe.gaps.push(if i == 0 { 0 } else { gap });
        }
        recipe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_of_one_group_and_a_function_of_its_name() {
        let config: JoinConfig = serde_json::from_value(
            serde_json::json!({"clips": [3, 7], "strings": 10, "gap_ms": [0, 50]}),
        )
        .unwrap();
        let groups = [vec![0, 2, 4, 6], vec![1, 3, 5]];
        let (mut lengths, mut parities) = ([0; 8], [0; 2]);
        for index in 0..1000 {
            let name = (7, index % 3, index);
            let recipe = config.recipe(&groups, 8000, name);
            assert_eq!(recipe, config.recipe(&groups, 8000, name));
            let parity = recipe.clips[0] % 2;
            assert!(
                recipe
                    .clips
                    .iter()
                    .all(|clip| clip % 2 == parity && *clip < 7)
            );
            assert!(recipe.gaps[0] == 0 && recipe.gaps.iter().all(|&gap| gap <= 400));
            lengths[recipe.clips.len()] += 1;
            parities[parity] += 1;
        }
        assert_eq!(lengths[..3], [0; 3]);
        assert!(lengths[3..].iter().all(|&n| n > 140), "{lengths:?}");
        assert!(parities.iter().all(|&n| n > 400), "{parities:?}");
        let other = config.recipe(&groups, 8000, (7, 1, 0));
        assert_ne!(other, config.recipe(&groups, 8000, (7, 0, 0)));
    }
}
