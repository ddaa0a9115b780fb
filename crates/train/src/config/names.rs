//! Patterns for names of parameters: `embed.*`, `blocks.0-3.*`.

use std::fmt;
use std::ops::RangeInclusive;

use glob::Pattern;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most numbers that the ranges of one pattern may stand for.
const MAX_ALTERNATIVES: usize = 1 << 12;
/// Longest pattern, in bytes.
const MAX_LENGTH: usize = 512;

/// Names that look like this: `*` stands for any characters, dots too, `?` for one, `[ab]`
/// for one of these, and a part `0-3` between dots for each number from 0 to 3.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Names {
    text: String,
    alternatives: Vec<Pattern>,
}

impl Names {
    /// Whether `name` looks like this.
    pub fn matches(&self, name: &str) -> bool {
        self.alternatives.iter().any(|p| p.matches(name))
    }
}

impl PartialEq for Names {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Names {}

impl PartialOrd for Names {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Names {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Names> for String {
    fn from(names: Names) -> Self {
        names.text
    }
}

impl TryFrom<String> for Names {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let refuse = |why: String| Err(format!("`{text}` is no pattern for names: {why}"));
        if text.is_empty() || text.len() > MAX_LENGTH {
            return refuse(format!("it needs 1 to {MAX_LENGTH} characters"));
        }
        let mut written = vec![String::new()];
        for (i, part) in text.split('.').enumerate() {
            let dot = if i == 0 { "" } else { "." };
            let ends: Vec<String> = match range(part) {
                Some(range) if written.len() * (range.clone().count()) > MAX_ALTERNATIVES => {
                    return refuse(format!("it stands for more than {MAX_ALTERNATIVES} names"));
                }
                Some(range) => range.map(|n| format!("{dot}{n}")).collect(),
                None => vec![format!("{dot}{part}")],
            };
            written = written
                .iter()
                .flat_map(|start| ends.iter().map(move |end| format!("{start}{end}")))
                .collect();
        }
        match written.iter().map(|text| Pattern::new(text)).collect() {
            Ok(alternatives) => Ok(Self { text, alternatives }),
            Err(error) => refuse(error.msg.to_owned()),
        }
    }
}

/// The numbers that `part` stands for, if it is `FIRST-LAST`; at most as many as a pattern
/// may have, and one more.
fn range(part: &str) -> Option<RangeInclusive<usize>> {
    let (first, last) = part.split_once('-')?;
    let number = |text: &str| {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<usize>().ok().filter(|_| digits)
    };
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then(|| first..=last.min(first.saturating_add(MAX_ALTERNATIVES)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Result<Names, String> {
        text.to_owned().try_into()
    }

    #[test]
    fn a_pattern_has_the_names_that_look_like_it() -> Result<(), String> {
        for (pattern, has, has_not) in [
            ("embed.*", "embed.weight", "embed_norm.weight"),
            ("*.weight", "blocks.0.attn.wq.weight", "norm.bias"),
            ("*.wq", "blocks.10.attn.wq", "blocks.10.attn.wq.weight"),
            (
                "blocks.0-3.*",
                "blocks.3.mlp.up.bias",
                "blocks.30.mlp.up.bias",
            ),
            ("blocks.9-11.*", "blocks.10.norm", "blocks.1.norm"),
            ("blocks.[01].*", "blocks.1.norm", "blocks.2.norm"),
            ("norm.weight", "norm.weight", "normXweight"),
        ] {
            let names = names(pattern)?;
            assert!(names.matches(has), "{pattern} has {has}");
            assert!(!names.matches(has_not), "{pattern} has not {has_not}");
        }
        Ok(())
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, want) in [
            ("", "needs 1 to 512"),
            ("blocks.[", "invalid range"),
            ("blocks.0-99999999999.*", "more than 4096"),
            ("0-999.0-999", "more than 4096"),
        ] {
            let error = names(text).expect_err(text);
            assert!(error.contains(want), "{text}: {error}");
        }
        // No range, but a name that may be meant.
        assert!(names("3-1.x").is_ok_and(|n| n.matches("3-1.x")));
    }
}
