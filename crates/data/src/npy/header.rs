//! What stands before the numbers of an array.

use std::io::Read;

use super::{MAX_DIMENSIONS, Numbers};
use crate::{Error, Place, Result};

pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Bytes of a header at most; NumPy itself refuses more than 10,000.
const MAX_HEADER: usize = 1 << 16;

/// Type, order and shape of an array.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) big_endian: bool,
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<usize>,
}

/// A type of numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Bool,
    Unsigned(usize),
    Signed(usize),
    Float(usize),
}

impl Header {
    /// Reads the header at the start of `reader`, up to the first number.
    pub(super) fn read(reader: &mut impl Read, at: &Place) -> Result<Self> {
        let damaged = |reason: &str| Error::array(at, reason.to_owned());
        let mut fixed = [0; 8];
        reader
            .read_exact(&mut fixed)
            .map_err(|_| damaged("not a NumPy array: it ends inside its header"))?;
        if fixed[..6] != MAGIC[..] {
            return Err(damaged(
                "not a NumPy array: it does not start with `\\x93NUMPY`",
            ));
        }
        let mut len = [0; 4];
        let n_len = match fixed[6] {
            1 => 2,
            2 | 3 => 4,
            version => return Err(damaged(&format!("format version {version} is not known"))),
        };
        let ends = |_| damaged("it ends inside its header");
        reader.read_exact(&mut len[..n_len]).map_err(ends)?;
        let len = u32::from_le_bytes(len) as usize;
        if len > MAX_HEADER {
            return Err(damaged(&format!(
                "a header of {len} bytes is longer than {MAX_HEADER}"
            )));
        }
        let mut text = vec![0; len];
        reader.read_exact(&mut text).map_err(ends)?;
        let text = std::str::from_utf8(&text).map_err(|_| damaged("its header is not text"))?;
        parse(text).map_err(|reason| damaged(&reason))
    }
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
fn parse(text: &str) -> std::result::Result<Header, String> {
    let wrong = |what: &str| format!("its header {what}");
    let mut rest = text
        .trim()
        .strip_prefix('{')
        .and_then(|inner| inner.strip_suffix('}'))
        .ok_or_else(|| wrong("is not a dictionary"))?
        .trim();
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    while !rest.is_empty() {
        let (key, after) = quoted(rest).ok_or_else(|| wrong("has a key that is no string"))?;
        let value = after
            .trim_start()
            .strip_prefix(':')
            .ok_or_else(|| wrong("lacks a colon"))?
            .trim_start();
        let after = match key {
            "descr" => {
                let (text, after) = quoted(value)
                    .ok_or_else(|| "it holds records or objects, not numbers".to_owned())?;
                descr = Some(text);
                after
            }
            "fortran_order" => {
                let (truth, after) = match (value.strip_prefix("True"), value.strip_prefix("False"))
                {
                    (Some(after), _) => (true, after),
                    (_, Some(after)) => (false, after),
                    _ => return Err(wrong("has a `fortran_order` that is no truth value")),
                };
                fortran_order = Some(truth);
                after
            }
            "shape" => {
                let (sizes, after) = tuple(value).ok_or_else(|| wrong("has a damaged shape"))?;
                shape = Some(sizes);
                after
            }
            _ => return Err(wrong("has a key that NumPy does not write")),
        };
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if after.is_empty() => after,
            None => return Err(wrong("lacks a comma")),
        };
    }
    let (Some(descr), Some(fortran_order), Some(shape)) = (descr, fortran_order, shape) else {
        return Err(wrong("lacks `descr`, `fortran_order` or `shape`"));
    };
    if shape.len() > MAX_DIMENSIONS {
        return Err(format!("more than {MAX_DIMENSIONS} dimensions"));
    }
    let (kind, big_endian) =
        kind(descr).ok_or_else(|| format!("numbers of type `{descr}` are not understood"))?;
    Ok(Header {
        kind,
        big_endian,
        fortran_order,
        shape,
    })
}

/// A string in single or double quotes, without escapes, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// `(3, 4)`, `(3,)` or `()`, and what follows it.
fn tuple(text: &str) -> Option<(Vec<usize>, &str)> {
    let (inner, after) = text.strip_prefix('(')?.split_once(')')?;
    let inner = inner.trim();
    let inner = inner.strip_suffix(',').unwrap_or(inner);
    if inner.is_empty() {
        return Some((Vec::new(), after));
    }
    let sizes = inner.split(',').map(|size| {
        // NumPy of Python 2 wrote long integers with an L.
        let size = size.trim();
        size.strip_suffix('L').unwrap_or(size).parse().ok()
    });
    Some((sizes.collect::<Option<_>>()?, after))
}

/// `<f4` and the like: the type, and whether the first byte is the highest.
fn kind(descr: &str) -> Option<(Kind, bool)> {
    let mut chars = descr.chars();
    let order = chars.next()?;
    let letter = chars.next()?;
    let size: usize = chars.as_str().parse().ok()?;
    let big_endian = match order {
        '<' | '|' | '=' => false,
        '>' => true,
        _ => return None,
    };
    let kind = match (letter, size) {
        ('b', 1) => Kind::Bool,
        ('u', 1 | 2 | 4 | 8) => Kind::Unsigned(size),
        ('i', 1 | 2 | 4 | 8) => Kind::Signed(size),
        ('f', 2 | 4 | 8) => Kind::Float(size),
        _ => return None,
    };
    Some((kind, big_endian))
}

impl Kind {
    /// Bytes of one number.
    pub(super) fn size(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::Unsigned(size) | Self::Signed(size) | Self::Float(size) => size,
        }
    }

    /// The numbers in `bytes`, a whole number of them.
    pub(super) fn decode(self, bytes: &[u8], big_endian: bool) -> Numbers {
        let size = self.size();
        // The low bytes first, whatever the file has.
        let words = bytes.chunks_exact(size).map(|number| {
            let mut word = [0; 8];
            for (i, slot) in word[..size].iter_mut().enumerate() {
                *slot = number[if big_endian { size - 1 - i } else { i }];
            }
            u64::from_le_bytes(word)
        });
        match self {
            Self::Bool | Self::Unsigned(1) => Numbers::Bytes(bytes.to_vec()),
            // No count or pixel has its highest bit set; a larger one wraps to a negative
            // number, which every reader refuses.
            Self::Unsigned(_) => Numbers::Integers(words.map(|word| word as i64).collect()),
            Self::Signed(size) => {
                let unused = 64 - 8 * size as u32;
                let extend = |word: u64| ((word << unused) as i64) >> unused;
                Numbers::Integers(words.map(extend).collect())
            }
            Self::Float(2) => Numbers::Floats(words.map(|word| half(word as u16)).collect()),
            Self::Float(4) => {
                Numbers::Floats(words.map(|word| f32::from_bits(word as u32)).collect())
            }
            Self::Float(_) => {
                Numbers::Floats(words.map(|word| f64::from_bits(word) as f32).collect())
            }
        }
    }
}

/// The number that 16 bits of IEEE 754 stand for.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_as_numpy_writes_them_are_read() {
        let header =
            parse("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }      \n").unwrap();
        assert_eq!((header.kind, header.shape), (Kind::Float(4), vec![3, 4]));
        let header = parse("{\"shape\": (5,), 'fortran_order': True, 'descr': '>i8'}").unwrap();
        assert_eq!(
            (header.kind, header.big_endian, header.fortran_order),
            (Kind::Signed(8), true, true)
        );
        let scalar = parse("{'descr': '|u1', 'fortran_order': False, 'shape': ()}").unwrap();
        assert!(scalar.shape.is_empty());
    }

    #[test]
    fn other_headers_are_refused_with_their_fault() {
        for (text, fault) in [
            ("", "is not a dictionary"),
            ("{'descr': '<f4'}", "lacks `descr`"),
            ("{'descr': '<f4' 'shape': ()}", "lacks a comma"),
            ("{'descr' '<f4'}", "lacks a colon"),
            (
                "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}",
                "records",
            ),
            (
                "{'descr': '|O', 'fortran_order': False, 'shape': ()}",
                "type `|O`",
            ),
            (
                "{'descr': '<c8', 'fortran_order': False, 'shape': ()}",
                "type `<c8`",
            ),
            (
                "{'descr': 'é', 'fortran_order': False, 'shape': ()}",
                "type `é`",
            ),
            (
                "{'descr': '<f4', 'fortran_order': 1, 'shape': ()}",
                "no truth value",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
                "damaged shape",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (1",
                "not a dictionary",
            ),
            ("{'é': 1}", "does not write"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(fault), "{text}: {error}");
        }
        let many = format!(
            "{{'descr': '<f4', 'fortran_order': False, 'shape': ({})}}",
            "1,".repeat(40)
        );
        assert_eq!(parse(&many).unwrap_err(), "more than 32 dimensions");
    }

    #[test]
    fn halves_are_those_of_the_standard() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x0001, 5.960_464_5e-8),
            (0x7bff, 65504.0),
            (0x3555, 0.333_251_95),
        ] {
            assert_eq!(half(bits), value);
        }
        assert!(half(0x7e00).is_nan() && half(0xfc00) == f32::NEG_INFINITY);
    }
}
