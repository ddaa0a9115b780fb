//! Sizes of files as people write them.

use std::str::FromStr;

/// A number of bytes, at least one: `500MB`, `1.5 GB`, `4096`.
///
/// `KB`, `MB`, `GB` and `TB` are powers of 1000, as in Hugging Face's tools; `KiB` and so on
/// are powers of 1024. Letters may be of either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

impl ByteSize {
    /// So many bytes, at least one.
    pub fn new(bytes: u64) -> Option<Self> {
        (bytes > 0).then_some(Self(bytes))
    }

    /// The number.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

/// A text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no size; write for example 500MB, 2GB or 1.5GiB")]
pub struct NotASize(String);

impl FromStr for ByteSize {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        parse(text)
            .and_then(Self::new)
            .ok_or_else(|| NotASize(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1000u64.pow(2),
        "gb" => 1000u64.pow(3),
        "tb" => 1000u64.pow(4),
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    // Digits behind the point, at most as many as a `u64` surely holds.
    let fraction = match fraction {
        "" => 0,
        digits if digits.len() <= 6 && unit > 1 => {
            let scale = 10u64.pow(u32::try_from(digits.len()).ok()?);
            let part = u128::from(digits.parse::<u64>().ok()?) * u128::from(unit);
            u64::try_from(part / u128::from(scale)).ok()?
        }
        _ => return None,
    };
    whole.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_their_units_say() {
        for (text, bytes) in [
            ("500MB", 500_000_000),
            ("2GB", 2_000_000_000),
            (" 10 kb ", 10_000),
            ("1TB", 1_000_000_000_000),
            ("1.5gb", 1_500_000_000),
            ("0.25KiB", 256),
            ("3MiB", 3 << 20),
            ("1GiB", 1 << 30),
            ("2tib", 2 << 40),
            ("4096", 4096),
            ("7b", 7),
        ] {
            assert_eq!(text.parse().map(ByteSize::bytes), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "MB",
            "0",
            "0GB",
            "-1GB",
            "1e3MB",
            "5 apples",
            "1.5",
            "1.5.5GB",
            ".5GB",
            "1PB",
            "99999999999999999999",
            "18446744073709551615KB",
            "0.0000001GB",
            "1 000MB",
        ] {
            let error = text.parse::<ByteSize>().expect_err(text);
            assert!(error.to_string().contains("no size"), "{error}");
        }
    }
}
