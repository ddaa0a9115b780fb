//! What the decoder of JPEG lets pass: files that stop early, and inks.

use crate::{Error, Place, Result};

/// Refuses a JPEG that ends before its end marker, and one whose colours are inks.
///
/// A truncated file decodes to a picture with a grey rest, which teaches a model the
/// wrong thing. Inks (CMYK) become red, green and blue only by a profile of their
/// printer.
pub(super) fn check(bytes: &[u8], at: &Place) -> Result<()> {
    let truncated = || {
        Error::image(
            at,
            format!("truncated JPEG: no end marker in its {} bytes", bytes.len()),
            "fetch the file again or remove it",
        )
    };
    let mut position = 2;
    loop {
        let marker = *bytes.get(position + 1).ok_or_else(truncated)?;
        if bytes[position] != 0xFF {
            return Err(Error::image(
                at,
                format!("damaged JPEG: no marker at byte {position}"),
                "fetch the file again or remove it",
            ));
        }
        match marker {
            0xD9 => return Ok(()),
            // Fill bytes, and markers without a length.
            0xFF => position += 1,
            0x01 | 0xD0..=0xD8 => position += 2,
            _ => {
                let length = bytes
                    .get(position + 2..position + 4)
                    .map(|pair| usize::from(pair[0]) << 8 | usize::from(pair[1]))
                    .ok_or_else(truncated)?;
                let frame = matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC);
                if frame && bytes.get(position + 9) == Some(&4) {
                    return Err(Error::image(
                        at,
                        "a JPEG in four inks (CMYK), whose colours depend on a printer",
                        "convert it to RGB",
                    ));
                }
                position += 2 + length.max(2);
                if marker == 0xDA {
                    position = end_of_scan(bytes, position).ok_or_else(truncated)?;
                }
            }
        }
    }
}

/// Where the next marker stands that is not part of the scan which starts at `from`.
fn end_of_scan(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let next = rest
        .windows(2)
        .position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xD0..=0xD7))?;
    Some(from + next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8]) -> Option<String> {
        check(bytes, &Place::file("a.jpg"))
            .err()
            .map(|error| error.to_string())
    }

    const START: [u8; 2] = [0xFF, 0xD8];
    const SCAN: [u8; 9] = [0xFF, 0xDA, 0, 3, 0, 1, 0xFF, 0, 2];

    #[test]
    fn a_scan_may_hold_stuffed_bytes_and_restarts() {
        let bytes = [&START[..], &SCAN, &[0xFF, 0xD0, 9, 0xFF, 0xFF, 0xD9]].concat();
        assert_eq!(message(&bytes), None);
    }

    #[test]
    fn a_file_without_its_end_is_refused_wherever_it_stops() {
        let whole = [&START[..], &[0xFF, 0xE0, 0, 4, 1, 2], &SCAN, &[0xFF, 0xD9]].concat();
        assert_eq!(message(&whole), None);
        for n in 2..whole.len() {
            let said = message(&whole[..n]);
            let want = format!("a.jpg: truncated JPEG: no end marker in its {n} bytes; ");
            assert!(
                said.is_some_and(|said| said.starts_with(&want)),
                "{n} bytes"
            );
        }
    }

    #[test]
    fn inks_are_refused() {
        let frame = [0xFF, 0xC2, 0, 20, 8, 0, 1, 0, 1, 4];
        let said = message(&[&START[..], &frame, &[0; 12], &[0xFF, 0xD9]].concat());
        assert!(said.is_some_and(|said| said.contains("four inks (CMYK)")));
    }

    #[test]
    fn bytes_between_segments_are_damage() {
        let said = message(&[0xFF, 0xD8, 1, 2, 3]);
        assert!(said.is_some_and(|said| said.contains("no marker at byte 2")));
    }
}
