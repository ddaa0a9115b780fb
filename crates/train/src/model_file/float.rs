//! Float types that weights can be stored as.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::dtype::Dtype;

/// How weights are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Float {
    /// 32 bits: as they are computed with.
    #[default]
    F32,
    /// IEEE 754 binary16: 11 bits of precision, numbers up to 65504.
    F16,
    /// The upper half of an `f32`: 8 bits of precision, its range.
    BF16,
}

impl Float {
    /// The type as a header names it.
    pub fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::BF16 => Dtype::BF16,
        }
    }

    /// Writes `values`, rounded to the nearest, of two as near to the even one.
    ///
    /// # Errors
    ///
    /// `InvalidData` for a number too large for the type, and what `w` returns.
    pub(super) fn write(self, w: &mut dyn Write, values: &[f32]) -> io::Result<()> {
        const CHUNK: usize = 1 << 14;
        let mut bytes = Vec::with_capacity(CHUNK.min(values.len()) * self.dtype().size());
        for chunk in values.chunks(CHUNK) {
            bytes.clear();
            match self {
                Self::F32 => bytes.extend(chunk.iter().flat_map(|x| x.to_le_bytes())),
                Self::F16 => {
                    let mut halves = [f16::ZERO; CHUNK];
                    let halves = &mut halves[..chunk.len()];
                    halves.convert_from_f32_slice(chunk);
                    self.check_range(chunk, halves.iter().map(|x| x.is_infinite()))?;
                    bytes.extend(halves.iter().flat_map(|x| x.to_le_bytes()));
                }
                Self::BF16 => {
                    let mut halves = [bf16::ZERO; CHUNK];
                    let halves = &mut halves[..chunk.len()];
                    halves.convert_from_f32_slice(chunk);
                    self.check_range(chunk, halves.iter().map(|x| x.is_infinite()))?;
                    bytes.extend(halves.iter().flat_map(|x| x.to_le_bytes()));
                }
            }
            w.write_all(&bytes)?;
        }
        Ok(())
    }

    /// Refuses a number that rounding has made infinite.
    fn check_range(self, from: &[f32], infinite: impl Iterator<Item = bool>) -> io::Result<()> {
        let mut pairs = from.iter().zip(infinite);
        match pairs.find(|(x, infinite)| *infinite && x.is_finite()) {
            None => Ok(()),
            Some((x, _)) => {
                let wider = if self == Self::F16 {
                    "bf16 or f32"
                } else {
                    "f32"
                };
                let message = format!("{x:e}, too large for {self}; store it as {wider}");
                Err(io::Error::new(io::ErrorKind::InvalidData, message))
            }
        }
    }
}

impl fmt::Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
        })
    }
}

/// A name that is no float type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no type of weights; use f32, f16 or bf16")]
pub struct UnknownFloat(String);

impl FromStr for Float {
    type Err = UnknownFloat;

    fn from_str(name: &str) -> Result<Self, UnknownFloat> {
        let all = [Self::F32, Self::F16, Self::BF16];
        let found = all.into_iter().find(|float| float.to_string() == name);
        found.ok_or_else(|| UnknownFloat(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    fn stored(float: Float, values: &[f32]) -> io::Result<Vec<u16>> {
        let mut bytes = Vec::new();
        float.write(&mut bytes, values)?;
        let pairs = bytes.chunks_exact(2);
        Ok(pairs
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .collect())
    }

    /// The nearest of all finite numbers of a type, by trying each; of two the even one.
    fn nearest(to: f32, decode: impl Fn(u16) -> f64) -> u16 {
        let distance = |bits: u16| (decode(bits) - f64::from(to)).abs();
        let finite = (0..=u16::MAX).filter(|&bits| decode(bits).is_finite());
        finite
            .filter(|&bits| decode(bits).is_sign_negative() == to.is_sign_negative())
            .min_by(|&a, &b| {
                distance(a)
                    .total_cmp(&distance(b))
                    .then((a & 1).cmp(&(b & 1)))
            })
            .unwrap()
    }

    #[test]
    fn numbers_are_rounded_to_the_nearest_and_ties_to_even() -> Result {
        // Halfway between two: 1 + 2⁻¹¹, 1 + 3·2⁻¹¹ (f16), 1 + 2⁻⁸, 1 + 3·2⁻⁸ (bf16), and
        // the least that is not zero.
        let values = [
            0.0,
            -0.0,
            1.0,
            1.000_488_3,
            1.001_464_8,
            1.003_906_3,
            1.011_718_8,
            -0.1,
            3.3e-5,
            2.9802322e-8,
            2.980_233e-8,
            8.9e-8,
            65_503.0,
            1e-30,
            -123.456,
        ];
        let f16 = |bits| half::f16::from_bits(bits).to_f64();
        let bf16 = |bits: u16| f64::from(f32::from_bits(u32::from(bits) << 16));
        let want: Vec<u16> = values.iter().map(|&x| nearest(x, f16)).collect();
        assert_eq!(stored(Float::F16, &values)?, want);
        let want: Vec<u16> = values.iter().map(|&x| nearest(x, bf16)).collect();
        assert_eq!(stored(Float::BF16, &values)?, want);
        Ok(())
    }

    #[test]
    fn a_number_beyond_the_type_is_refused_and_an_infinite_one_is_kept() -> Result {
        assert_eq!(stored(Float::F16, &[65_504.0])?, [0x7bff]);
        let error = stored(Float::F16, &[1.0, -70_000.0]).expect_err("too large");
        assert_eq!(
            error.to_string(),
            "-7e4, too large for f16; store it as bf16 or f32"
        );
        let error = stored(Float::BF16, &[f32::MAX]).expect_err("too large");
        assert!(error.to_string().ends_with("store it as f32"), "{error}");
        assert_eq!(stored(Float::F16, &[f32::INFINITY])?, [0x7c00]);
        assert_eq!(stored(Float::BF16, &[f32::NEG_INFINITY])?, [0xff80]);
        Ok(())
    }

    #[test]
    fn names_read_back() {
        for float in [Float::F32, Float::F16, Float::BF16] {
            assert_eq!(float.to_string().parse(), Ok(float));
        }
        let error = "fp8".parse::<Float>().expect_err("no such type");
        assert_eq!(
            error.to_string(),
            "`fp8` is no type of weights; use f32, f16 or bf16"
        );
    }
}
