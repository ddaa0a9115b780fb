//! One line that says where a configuration is wrong, how, and what to do.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Longest message shown; what a file says may be megabytes.
const MAX_CHARS: usize = 300;

/// A configuration that cannot be used.
///
/// Displays as one line, `FILE:LINE:COL: what; remedy`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}; {remedy}")]
pub struct ConfigError {
    place: Place,
    what: String,
    remedy: String,
}

impl ConfigError {
    /// Says that `what` is wrong at `place`, and that `remedy` would help.
    pub(crate) fn new(place: Place, what: impl AsRef<str>, remedy: impl AsRef<str>) -> Self {
        Self {
            place,
            what: one_line(what.as_ref()),
            remedy: one_line(remedy.as_ref()),
        }
    }

    /// Where the offending text is.
    pub fn place(&self) -> &Place {
        &self.place
    }
}

/// Where the text of a configuration came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file as a whole.
    File(PathBuf),
    /// A character of a file; line and column count from 1.
    At {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// The text of one `--set`.
    Override(String),
    /// A key of the model that the configuration in the file starts from.
    Inherited(PathBuf, String),
}

impl Place {
    /// The character at byte `offset` of `text`, the contents of `file`.
    pub(super) fn in_text(file: &Path, text: &str, offset: usize) -> Self {
        let offset = offset.min(text.len());
        let start = (0..=offset)
            .rev()
            .find(|&i| text.is_char_boundary(i))
            .unwrap_or(0);
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Self::At {
            file: file.into(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.display()),
            Self::At { file, line, column } => write!(f, "{}:{line}:{column}", file.display()),
            Self::Override(text) => write!(f, "--set `{}`", one_line(text)),
            Self::Inherited(file, key) => {
                let (file, key) = (file.display(), one_line(key));
                write!(f, "{file}: `{key}` of the model in [init]")
            }
        }
    }
}

/// `text` without line breaks and control characters, cut to a length one can read.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for (i, character) in text.trim_end().chars().enumerate() {
        if i == MAX_CHARS {
            line.push('…');
            break;
        }
        match character {
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stays_on_one_short_line() {
        let text = format!("a\nb\u{1b}[31m{}", "x".repeat(10_000_000));
        let line = one_line(&text);
        assert!(line.starts_with(r"a\nb\u{1b}[31mxxx"), "{line}");
        assert!(line.chars().count() < 2 * MAX_CHARS);
    }

    #[test]
    fn the_place_comes_first() {
        let place = Place::At {
            file: "c.toml".into(),
            line: 3,
            column: 7,
        };
        let error = ConfigError::new(place, "what", "remedy");
        assert_eq!(error.to_string(), "c.toml:3:7: what; remedy");
    }
}
