//! A table of pixels: a picture in each row, and its label.

use std::path::PathBuf;
use std::str;

use super::manifest::delimiter;
use super::{Item, Take, file};
use crate::image::decode::MAX_SIDE;
use crate::image::picture::{Colour, Picture};
use crate::rows::Rows;
use crate::{Error, Place, Result};

/// How the rows of a table of pixels are read.
#[derive(Debug, Clone)]
pub(super) struct Pixels {
    pub(super) path: PathBuf,
    /// Height and width; a square if absent.
    pub(super) size: Option<(usize, usize)>,
    /// The brightest value.
    pub(super) max_value: f64,
    /// Column of the label by its name, or `first` or `last` in a table without names.
    pub(super) label_column: Option<String>,
}

impl Pixels {
    /// Rows of `height · width` numbers, or three times as many, red, green and blue of
    /// each pixel, and a label. The first row may name the columns.
    pub(super) fn read(&self, take: &mut Take<'_>) -> Result<()> {
        let mut rows = Rows::new(file::open(&self.path)?, &self.path, delimiter(&self.path));
        let Some(mut at) = rows.next()? else {
            return Err(Error::Empty {
                at: Place::file(&self.path),
            });
        };
        let n_columns = rows.len();
        let names = (0..n_columns)
            .map(|column| rows.field(column, &at))
            .collect::<Result<Vec<_>>>()?;
        // Labels may be words, pixels are numbers: a header is a row without any.
        let is_header = names.iter().all(|name| name.trim().parse::<f64>().is_err());
        let label = self.label(&names, is_header, &at)?;
        let (height, width, colour) = self.shape(n_columns - 1, &at)?;
        if is_header {
            match rows.next()? {
                Some(next) => at = next,
                None => return Ok(()),
            }
        }
        loop {
            if rows.len() != n_columns {
                return Err(Error::Ragged {
                    at,
                    found: rows.len(),
                    expected: n_columns,
                });
            }
            let pixels = rows
                .fields()
                .enumerate()
                .filter(|&(column, _)| column != label)
                .map(|(column, field)| self.byte(field, column, &at))
                .collect::<Result<Vec<u8>>>();
            let name = rows.field(label, &at)?;
            take(pixels.map(|pixels| Item {
                picture: Picture {
                    height,
                    width,
                    colour,
                    pixels,
                },
                label: name.trim().to_string(),
                at: at.clone(),
            }))?;
            match rows.next()? {
                Some(next) => at = next,
                None => return Ok(()),
            }
        }
    }

    /// The column that holds the label.
    fn label(&self, names: &[String], is_header: bool, at: &Place) -> Result<usize> {
        let last = names.len() - 1;
        match (self.label_column.as_deref(), is_header) {
            (Some("first"), false) => Ok(0),
            (None | Some("last"), false) => Ok(last),
            (Some(name), false) => Err(Error::image(
                at,
                format!("label_column = \"{name}\", but this table does not name its columns"),
                "use \"first\" or \"last\"",
            )),
            (name, true) => {
                let name = name.unwrap_or("label");
                let missing = || Error::MissingColumn {
                    at: at.clone(),
                    column: name.to_string(),
                    // A picture has too many columns to list.
                    columns: names.iter().take(8).cloned().collect(),
                };
                names.iter().position(|n| n == name).ok_or_else(missing)
            }
        }
    }

    /// Height, width and colour of pictures of `n` numbers.
    fn shape(&self, n: usize, at: &Place) -> Result<(usize, usize, Colour)> {
        let fits = |height: usize, width: usize| {
            let colour = Colour::of(n.checked_div(height * width)?)?;
            let whole = height * width * colour.channels() == n;
            (whole && height.max(width) <= MAX_SIDE).then_some((height, width, colour))
        };
        let square = |n: usize| (n.isqrt(), n.isqrt());
        let guesses = match self.size {
            Some(size) => vec![size],
            None => vec![square(n), square(n / 3)],
        };
        let found = guesses
            .into_iter()
            .find_map(|(height, width)| fits(height, width));
        found.ok_or_else(|| {
            let reason = match self.size {
                Some((height, width)) => {
                    format!("{n} numbers beside the label are no picture of {width}x{height} pixels, grey or RGB")
                }
                None => format!("{n} numbers beside the label are no square picture, grey or RGB"),
            };
            Error::image(at, reason, "set `height` and `width` to those of a picture")
        })
    }

    fn byte(&self, field: &[u8], column: usize, at: &Place) -> Result<u8> {
        let text = str::from_utf8(field).unwrap_or("").trim();
        let value = text.parse::<f64>();
        match value {
            Ok(value) if (0.0..=self.max_value).contains(&value) => {
                Ok((value / self.max_value * 255.0).round() as u8)
            }
            _ => Err(Error::image(
                at,
                format!(
                    "column {} is `{}`, not a number from 0 to max_value = {}",
                    column + 1,
                    String::from_utf8_lossy(field),
                    self.max_value
                ),
                "correct the row, or set `max_value` to the brightest value",
            )),
        }
    }
}
