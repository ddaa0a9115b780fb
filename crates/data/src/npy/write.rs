//! Arrays for NumPy to read.

use std::io::{self, Write};

use super::header::MAGIC;

/// The numbers begin at a multiple of this many bytes, as those of NumPy do.
const ALIGNMENT: usize = 64;

/// Digits for which NumPy leaves room behind the header, so that an array can grow in place.
const GROWTH_DIGITS: usize = 21;

/// Writes an array of `f32` in row-major order, each byte as `numpy.save` writes it.
///
/// # Errors
///
/// `values` are not as many as `shape` says, or `w` cannot be written to.
pub fn write_f32(w: &mut dyn Write, shape: &[usize], values: &[f32]) -> io::Result<()> {
    const CHUNK: usize = 1 << 14;
    if shape.iter().product::<usize>() != values.len() {
        return Err(io::Error::other(format!(
            "an array of shape {shape:?} has {} numbers",
            values.len()
        )));
    }
    w.write_all(&header(shape)?)?;
    for chunk in values.chunks(CHUNK) {
        let bytes: Vec<u8> = chunk.iter().flat_map(|x| x.to_le_bytes()).collect();
        w.write_all(&bytes)?;
    }
    Ok(())
}

/// Magic, version 1.0, length and text.
fn header(shape: &[usize]) -> io::Result<Vec<u8>> {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    // Python's way of writing a tuple of one.
    let comma = if sizes.len() == 1 { "," } else { "" };
    let mut text = format!(
        "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}{comma}), }}",
        sizes.join(", ")
    );
    let digits = sizes.first().map_or(GROWTH_DIGITS, String::len);
    text.push_str(&" ".repeat(GROWTH_DIGITS.saturating_sub(digits)));
    let fixed = MAGIC.len() + 4;
    let length = (fixed + text.len() + 1).next_multiple_of(ALIGNMENT) - fixed;
    let too_long = |_| io::Error::other("an array of too many dimensions");
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend(u16::try_from(length).map_err(too_long)?.to_le_bytes());
    bytes.extend(format!("{text:<width$}\n", width = length - 1).bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::{Array, Numbers};
    use super::*;
    use crate::Place;

    type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn the_header_is_that_of_numpy() -> TestResult {
        let mut bytes = Vec::new();
        write_f32(&mut bytes, &[2, 3], &[0.0; 6])?;
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
        let text = format!("{text:<117}\n");
        let want: [&[u8]; 3] = [b"\x93NUMPY\x01\x00\x76\x00", text.as_bytes(), &[0; 24]];
        assert_eq!(bytes, want.concat());
        assert_eq!(bytes.len() - 24, 128);
        let shape = |shape: &[usize]| -> io::Result<String> {
            let bytes = header(shape)?;
            assert_eq!((bytes.len() % 64, bytes.last()), (0, Some(&b'\n')));
            Ok(String::from_utf8_lossy(&bytes[10..]).into_owned())
        };
        assert!(shape(&[7])?.contains("'shape': (7,), }"));
        assert!(shape(&[])?.contains("'shape': (), }"));
        Ok(())
    }

    #[test]
    fn what_is_written_is_read() -> TestResult {
        let values: Vec<f32> = (0..40_000).map(|i| i as f32 * -0.37).collect();
        for shape in [
            vec![40_000],
            vec![100, 400],
            vec![2, 20_000, 1],
            vec![40_000, 1, 1, 1],
        ] {
            let mut bytes = Vec::new();
            write_f32(&mut bytes, &shape, &values)?;
            let array = Array::from_reader(&mut &*bytes, &Place::file("a.npy"))?;
            assert_eq!(array.shape, shape);
            assert!(array.numbers == Numbers::Floats(values.clone()));
        }
        let mut bytes = Vec::new();
        write_f32(&mut bytes, &[0, 3], &[])?;
        let empty = Array::from_reader(&mut &*bytes, &Place::file("a.npy"))?;
        assert_eq!(
            (empty.shape.as_slice(), empty.is_empty()),
            (&[0, 3][..], true)
        );
        assert!(write_f32(&mut Vec::new(), &[2, 3], &values).is_err());
        Ok(())
    }
}
