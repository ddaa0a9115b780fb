//! Where in a file something is.

use std::fmt;
use std::path::{Path, PathBuf};

/// A position in a file, written `FILE`, `FILE:LINE` or `FILE:LINE:COL`.
///
/// Lines and columns start at 1; columns count characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file as the user wrote it.
    pub path: PathBuf,
    /// Line, if the problem is in one.
    pub line: Option<u64>,
    /// Column, if the problem is at one.
    pub column: Option<u64>,
}

impl Place {
    /// A whole file.
    pub fn file(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().to_path_buf();
        Self {
            path,
            line: None,
            column: None,
        }
    }

    /// One line of a file.
    pub fn line(path: impl AsRef<Path>, line: u64) -> Self {
        Self {
            line: Some(line),
            ..Self::file(path)
        }
    }

    /// One character of a file.
    pub fn column(path: impl AsRef<Path>, line: u64, column: u64) -> Self {
        Self {
            column: Some(column),
            ..Self::line(path, line)
        }
    }

    /// The place of byte `at` of `text`, which starts at this place.
    pub(crate) fn advance(&self, text: &str, at: usize) -> Self {
        let before = &text[..at];
        let newlines = before.bytes().filter(|&byte| byte == b'\n').count() as u64;
        let last_line = before.rsplit('\n').next().unwrap_or(before);
        let columns = last_line.chars().count() as u64;
        let start = if newlines == 0 {
            self.column.unwrap_or(1)
        } else {
            1
        };
        Self::column(
            &self.path,
            self.line.unwrap_or(1) + newlines,
            start + columns,
        )
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_advance_over_lines_and_characters() {
        let start = Place::file("a.txt");
        assert_eq!(start.advance("héé\nx", 5).to_string(), "a.txt:1:4");
        assert_eq!(start.advance("héé\nx", 6).to_string(), "a.txt:2:1");
        let later = Place::column("a.txt", 7, 5);
        assert_eq!(later.advance("ab\nc", 1).to_string(), "a.txt:7:6");
        assert_eq!(later.advance("ab\nc", 4).to_string(), "a.txt:8:2");
    }
}
