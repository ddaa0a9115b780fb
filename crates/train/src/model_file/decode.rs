//! From stored floats to `f32`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytemuck::{AnyBitPattern, NoUninit};
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};
use rayon::prelude::*;

use super::dtype::Dtype;

/// Elements that one thread reads at a time: the copy out of the system's cache is what
/// takes the time, and threads share it.
const CHUNK: usize = 1 << 20;

/// Elements that are converted at a time, so that what is read is still in cache.
const BUFFER: usize = 1 << 14;

/// How the elements of one stored type are read from a place in a file.
pub(super) type Reader = fn(&File, u64, &mut [f32]) -> io::Result<()>;

/// How elements of `dtype` are read as `f32`; `None` for types that hold no weights.
///
/// `f16` and `bf16` are exact, `f64` is rounded to the nearest.
pub(super) fn reader(dtype: Dtype) -> Option<Reader> {
    Some(match dtype {
        Dtype::F32 => read_f32,
        Dtype::F16 => |file, at, values| {
            read_as(file, at, values, |stored: &mut [u16], values| {
                stored.iter_mut().for_each(|x| *x = u16::from_le(*x));
                let halves: &[f16] = stored.reinterpret_cast();
                halves.convert_to_f32_slice(values);
            })
        },
        Dtype::BF16 => |file, at, values| {
            read_as(file, at, values, |stored: &mut [u16], values| {
                stored.iter_mut().for_each(|x| *x = u16::from_le(*x));
                let halves: &[bf16] = stored.reinterpret_cast();
                halves.convert_to_f32_slice(values);
            })
        },
        Dtype::F64 => |file, at, values| {
            read_as(file, at, values, |stored: &mut [u64], values| {
                for (value, &bits) in values.iter_mut().zip(&*stored) {
                    *value = f64::from_bits(u64::from_le(bits)) as f32;
                }
            })
        },
        _ => return None,
    })
}

/// Fills `values` with the elements of `size` bytes that begin at byte `at`, on all threads
/// if there are many.
pub(super) fn read(
    reader: Reader,
    file: &File,
    at: u64,
    size: usize,
    values: &mut [f32],
) -> io::Result<()> {
    if values.len() <= CHUNK {
        return reader(file, at, values);
    }
    let start = |chunk: usize| at + (chunk * CHUNK * size) as u64;
    values
        .par_chunks_mut(CHUNK)
        .enumerate()
        .try_for_each(|(i, chunk)| reader(file, start(i), chunk))
}

/// The bytes of the file are those of the values: nothing is converted.
fn read_f32(file: &File, at: u64, values: &mut [f32]) -> io::Result<()> {
    file.read_exact_at(bytemuck::cast_slice_mut(values), at)?;
    if cfg!(target_endian = "big") {
        for value in values {
            *value = f32::from_bits(u32::from_le(value.to_bits()));
        }
    }
    Ok(())
}

fn read_as<T: AnyBitPattern + NoUninit>(
    file: &File,
    at: u64,
    values: &mut [f32],
    convert: impl Fn(&mut [T], &mut [f32]),
) -> io::Result<()> {
    let mut buffer = vec![T::zeroed(); BUFFER.min(values.len())];
    let mut at = at;
    for values in values.chunks_mut(BUFFER) {
        let stored = &mut buffer[..values.len()];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(stored);
        file.read_exact_at(bytes, at)?;
        at += bytes.len() as u64;
        convert(stored, values);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    /// What `dtype` makes of a file of one byte and `bytes`.
    fn decoded(dtype: Dtype, bytes: &[u8]) -> Result<Vec<f32>> {
        let mut file = tempfile::tempfile()?;
        file.write_all(&[0xff])?;
        file.write_all(bytes)?;
        let mut values = vec![7.0; bytes.len() / dtype.size()];
        let reader = reader(dtype).ok_or("no weights")?;
        read(reader, &file, 1, dtype.size(), &mut values)?;
        Ok(values)
    }

    /// IEEE 754 binary16 by its definition.
    fn f16_by_definition(half: u16) -> f64 {
        let sign = if half >> 15 == 1 { -1.0 } else { 1.0 };
        let mantissa = f64::from(half & 0x3ff) / 1024.0;
        sign * match i32::from(half >> 10 & 0x1f) {
            0 => mantissa * 2f64.powi(-14),
            31 if mantissa == 0.0 => f64::INFINITY,
            31 => f64::NAN,
            exponent => (1.0 + mantissa) * 2f64.powi(exponent - 15),
        }
    }

    #[test]
    fn every_half_is_read_as_what_it_stands_for() -> Result {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let values = decoded(Dtype::F16, &bytes)?;
        for (half, value) in (0..=u16::MAX).zip(values) {
            let want = f16_by_definition(half);
            assert!(
                f64::from(value).to_bits() == want.to_bits() || (value.is_nan() && want.is_nan()),
                "{half:#06x}: {value} instead of {want}"
            );
        }
        for (half, value) in (0..=u16::MAX).zip(decoded(Dtype::BF16, &bytes)?) {
            let want = f32::from_bits(u32::from(half) << 16);
            assert!(
                value.to_bits() == want.to_bits() || (value.is_nan() && want.is_nan()),
                "{half:#06x}: {value} instead of {want}"
            );
        }
        Ok(())
    }

    #[test]
    fn pieces_read_by_several_threads_fit_together() -> Result {
        let n = 2 * CHUNK + BUFFER + 3;
        let single: Vec<u8> = (0..n).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let double: Vec<u8> = (0..n).flat_map(|i| (i as f64).to_le_bytes()).collect();
        let want: Vec<f32> = (0..n).map(|i| i as f32).collect();
        assert!(decoded(Dtype::F32, &single)? == want);
        assert!(decoded(Dtype::F64, &double)? == want);
        Ok(())
    }

    #[test]
    fn doubles_are_rounded_to_the_nearest_and_a_short_file_is_an_error() -> Result {
        let doubles: Vec<u8> = [0.1, -1e300, 1e-300].map(f64::to_le_bytes).concat();
        let values = decoded(Dtype::F64, &doubles)?;
        assert_eq!(values, [0.1f32, f32::NEG_INFINITY, 0.0]);
        let file = tempfile::tempfile()?;
        let reader = reader(Dtype::F32).ok_or("no weights")?;
        assert!(read(reader, &file, 0, 4, &mut [0.0]).is_err());
        assert!(super::reader(Dtype::I64).is_none());
        Ok(())
    }
}
