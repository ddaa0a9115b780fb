//! Texts from the command line: as arguments, from files, from standard input.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use crate::error::{Error, Result};

/// Longest line read, in bytes.
const MAX_LINE: u64 = 16 << 20;

/// Gives each text that `inputs` name to `take`: the lines of standard input for `-`, the
/// lines of a file if there is one of that name, else the argument itself.
///
/// # Errors
///
/// A file that cannot be read, a line that is not UTF-8 or longer than 16 MiB, and
/// whatever `take` returns.
pub(super) fn each(inputs: &[String], mut take: impl FnMut(&str) -> Result<()>) -> Result<()> {
    for input in inputs {
        let path = Path::new(input);
        if input == "-" {
            lines(io::stdin().lock(), Path::new("standard input"), &mut take)?;
        } else if path.is_file() {
            let failed = |source| Error::Io {
                path: path.into(),
                source,
            };
            lines(
                BufReader::new(File::open(path).map_err(failed)?),
                path,
                &mut take,
            )?;
        } else {
            take(input)?;
        }
    }
    Ok(())
}

fn lines(
    mut reader: impl BufRead,
    path: &Path,
    take: &mut impl FnMut(&str) -> Result<()>,
) -> Result<()> {
    let wrong = |line: u64, what: &str| Error::Data(format!("{}:{line}: {what}", path.display()));
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let read = reader
            .by_ref()
            .take(MAX_LINE + 1)
            .read_until(b'\n', &mut bytes);
        match read.map_err(|source| Error::Io {
            path: path.into(),
            source,
        })? as u64
        {
            0 => break,
            length if length > MAX_LINE => {
                return Err(wrong(line, "the line is longer than 16 MiB; break it"));
            }
            _ => {}
        }
        let text = str::from_utf8(&bytes)
            .map_err(|_| wrong(line, "not UTF-8; convert the file to UTF-8"))?;
        take(
            text.strip_suffix('\n')
                .map_or(text, |text| text.strip_suffix('\r').unwrap_or(text)),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<String>> {
        let mut texts = Vec::new();
        lines(bytes, Path::new("in.txt"), &mut |text| {
            texts.push(text.to_owned());
            Ok(())
        })?;
        Ok(texts)
    }

    #[test]
    fn a_line_is_a_text_whatever_ends_it() -> Result<()> {
        assert_eq!(read(b"one\r\n\ntwo\nthree")?, ["one", "", "two", "three"]);
        Ok(())
    }

    #[test]
    fn a_line_that_is_no_text_is_named() {
        let said = |bytes: &[u8]| read(bytes).expect_err("refused").to_string();
        assert_eq!(
            said(b"a\n\xff\n"),
            "in.txt:2: not UTF-8; convert the file to UTF-8"
        );
        let long = vec![b'x'; MAX_LINE as usize + 1];
        assert_eq!(
            said(&long),
            "in.txt:1: the line is longer than 16 MiB; break it"
        );
    }
}
