//! PNG and JPEG, decoded within limits.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgba};

use super::jpeg;
use super::picture::{Colour, Picture};
use crate::contain::contain;
use crate::{Error, Place, Result};

/// Most rows, and most columns.
pub(crate) const MAX_SIDE: usize = 16_384;
/// Most pixels of one picture.
const MAX_PIXELS: usize = 1 << 26;
/// Largest file, in bytes.
const MAX_FILE: u64 = 256 << 20;

/// Reads the picture in the file `path`, which errors place `at`.
///
/// A PNG or JPEG, whatever it is called. 16 bits a channel are rounded to 8, palettes
/// are looked up, transparency shows white, and the orientation that a camera wrote is
/// applied.
///
/// # Errors
///
/// A file that cannot be read, is truncated, damaged, larger than 16,384 pixels a side
/// or 2^26 in all, or a JPEG in inks.
pub(crate) fn open(path: &Path, at: &Place) -> Result<Picture> {
    let failed = |cause| Error::Read {
        at: at.clone(),
        cause,
    };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::image(
            at,
            "a picture of more than 256 MiB",
            "make it smaller",
        ));
    }
    decode(&bytes, at)
}

/// As [`open`], of a file that is in memory.
pub(crate) fn decode(bytes: &[u8], at: &Place) -> Result<Picture> {
    let format = match bytes {
        [0x89, b'P', b'N', b'G', ..] => ImageFormat::Png,
        [0xFF, 0xD8, ..] => ImageFormat::Jpeg,
        [] => {
            return Err(Error::image(
                at,
                "an empty file",
                "fetch it again or remove it",
            ));
        }
        _ => {
            return Err(Error::image(
                at,
                "neither PNG nor JPEG",
                "convert it to one of them",
            ));
        }
    };
    if format == ImageFormat::Jpeg {
        jpeg::check(bytes, at)?;
    }
    match contain(|| decode_as(bytes, format, at)) {
        Ok(result) => result,
        Err(panic) => Err(damaged(at, format, &panic)),
    }
}

fn decode_as(bytes: &[u8], format: ImageFormat, at: &Place) -> Result<Picture> {
    let failed = |error: image::ImageError| damaged(at, format, &error.to_string());
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    // The sizes are checked below, with a message of our own.
    reader.limits(Limits::no_limits());
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    let (height, width) = (height as usize, width as usize);
    if height.max(width) > MAX_SIDE || height * width > MAX_PIXELS {
        return Err(Error::image(
            at,
            format!(
                "a picture of {width}x{height} pixels, more than {MAX_SIDE} a side or 2^26 in all"
            ),
            "make it smaller",
        ));
    }
    if height == 0 || width == 0 {
        return Err(Error::image(at, "a picture without pixels", "remove it"));
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(16 * MAX_PIXELS as u64);
    decoder.set_limits(limits).map_err(failed)?;
    let orientation = decoder.orientation().map_err(failed)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(failed)?;
    picture.apply_orientation(orientation);
    Ok(flat(picture))
}

/// Bytes of grey or RGB, on white.
fn flat(picture: DynamicImage) -> Picture {
    let (height, width) = (picture.height() as usize, picture.width() as usize);
    let colour = match picture.color().has_color() {
        true => Colour::Rgb,
        false => Colour::Grey,
    };
    let pixels = match (colour, picture.color().has_alpha()) {
        (Colour::Grey, false) => picture.into_luma8().into_raw(),
        (Colour::Rgb, false) => picture.into_rgb8().into_raw(),
        (Colour::Grey, true) => on_white(picture, 1),
        (Colour::Rgb, true) => on_white(picture, 3),
    };
    Picture {
        height,
        width,
        colour,
        pixels,
    }
}

/// The first `channels` of red, green and blue, blended with white.
fn on_white(picture: DynamicImage, channels: usize) -> Vec<u8> {
    let picture = picture.into_rgba8();
    let blend = |Rgba(pixel): &Rgba<u8>| {
        let alpha = u32::from(pixel[3]);
        let channel =
            move |value: u8| ((u32::from(value) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        [channel(pixel[0]), channel(pixel[1]), channel(pixel[2])]
    };
    picture
        .pixels()
        .flat_map(|pixel| blend(pixel).into_iter().take(channels))
        .collect()
}

fn damaged(at: &Place, format: ImageFormat, reason: &str) -> Error {
    let name = match format {
        ImageFormat::Png => "PNG",
        _ => "JPEG",
    };
    // One line, as errors are.
    let reason: Vec<&str> = reason.split_whitespace().collect();
    Error::image(
        at,
        format!("damaged {name}: {}", reason.join(" ")),
        "fetch the file again or remove it",
    )
}

#[cfg(test)]
mod tests {
    use image::codecs::jpeg::JpegEncoder;
    use image::{ExtendedColorType, ImageEncoder};

    use super::*;

    fn png(pixels: &[u8], width: u32, height: u32, colour: ExtendedColorType) -> Vec<u8> {
        let mut bytes = Vec::new();
        image::codecs::png::PngEncoder::new(&mut bytes)
            .write_image(pixels, width, height, colour)
            .expect("encodes");
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Picture> {
        decode(bytes, &Place::file("a.png"))
    }

    #[test]
    fn sixteen_bits_are_rounded_to_eight() -> Result<()> {
        let deep: Vec<u8> = [0u16, 128, 129, 65_535, 32_768, 257]
            .iter()
            .flat_map(|v| v.to_ne_bytes())
            .collect();
        let picture = read(&png(&deep, 3, 2, ExtendedColorType::L16))?;
        assert_eq!(picture.colour, Colour::Grey);
        assert_eq!(picture.pixels, [0, 0, 1, 255, 128, 1]);
        Ok(())
    }

    #[test]
    fn transparency_shows_white() -> Result<()> {
        let pixels = [10, 20, 30, 255, 10, 20, 30, 0, 0, 0, 0, 128];
        let picture = read(&png(&pixels, 3, 1, ExtendedColorType::Rgba8))?;
        assert_eq!(picture.pixels, [10, 20, 30, 255, 255, 255, 127, 127, 127]);
        let picture = read(&png(&[9, 255, 9, 0], 2, 1, ExtendedColorType::La8))?;
        assert_eq!(
            (picture.colour, picture.pixels),
            (Colour::Grey, vec![9, 255])
        );
        Ok(())
    }

    #[test]
    fn palettes_are_looked_up() -> Result<()> {
        let mut bytes = Vec::new();
        bytes.extend(b"\x89PNG\r\n\x1a\n");
        chunk(
            &mut bytes,
            b"IHDR",
            &[0, 0, 0, 3, 0, 0, 0, 1, 8, 3, 0, 0, 0],
        );
        chunk(&mut bytes, b"PLTE", &[1, 2, 3, 250, 251, 252]);
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), Default::default());
        std::io::Write::write_all(&mut packed, &[0, 1, 0, 1]).expect("in memory");
        chunk(&mut bytes, b"IDAT", &packed.finish().expect("in memory"));
        chunk(&mut bytes, b"IEND", &[]);
        let picture = read(&bytes)?;
        assert_eq!(picture.pixels, [250, 251, 252, 1, 2, 3, 250, 251, 252]);
        Ok(())
    }

    fn chunk(to: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
        let mut sum = flate2::Crc::new();
        sum.update(name);
        sum.update(data);
        to.extend((data.len() as u32).to_be_bytes());
        to.extend(name);
        to.extend(data);
        to.extend(sum.sum().to_be_bytes());
    }

    /// 65,535 x 65,535 pixels in a file of about 1 kB, which would take 12 GB.
    #[test]
    fn a_small_file_cannot_ask_for_much_memory() {
        let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
        let side = 65_535u32.to_be_bytes();
        chunk(
            &mut bytes,
            b"IHDR",
            &[&side[..], &side, &[8, 2, 0, 0, 0]].concat(),
        );
        chunk(&mut bytes, b"IDAT", &[0; 1000]);
        chunk(&mut bytes, b"IEND", &[]);
        let said = read(&bytes).expect_err("refused").to_string();
        assert_eq!(
            said,
            "a.png: a picture of 65535x65535 pixels, more than 16384 a side or 2^26 in all; \
             make it smaller"
        );
    }

    #[test]
    fn every_truncation_is_an_error_of_one_line() -> Result<()> {
        let pixels: Vec<u8> = (0..16 * 16 * 3).map(|i| (i * 7) as u8).collect();
        let whole = png(&pixels, 16, 16, ExtendedColorType::Rgb8);
        let mut jpeg = Vec::new();
        JpegEncoder::new(&mut jpeg)
            .write_image(&pixels, 16, 16, ExtendedColorType::Rgb8)
            .expect("encodes");
        assert_eq!(read(&whole)?.pixels, pixels);
        assert_eq!(read(&jpeg)?.colour, Colour::Rgb);
        for whole in [&whole, &jpeg] {
            // The last 12 bytes of a PNG are its end chunk, which holds nothing.
            for n in 0..whole.len() - 12 {
                let said = read(&whole[..n]).expect_err("truncated").to_string();
                assert!(
                    said.starts_with("a.png: ") && !said.contains('\n'),
                    "{said}"
                );
                assert!(said.contains("; "), "{said}");
            }
        }
        Ok(())
    }

    #[test]
    fn damaged_bytes_never_panic() {
        let pixels: Vec<u8> = (0..8 * 8).map(|i| (i * 3) as u8).collect();
        let whole = png(&pixels, 8, 8, ExtendedColorType::L8);
        let mut jpeg = Vec::new();
        JpegEncoder::new(&mut jpeg)
            .write_image(&pixels, 8, 8, ExtendedColorType::L8)
            .expect("encodes");
        for (file, whole) in [whole, jpeg].into_iter().enumerate() {
            for trial in 0..300 {
                let mut bytes = whole.clone();
                let at = crate::order::draw("at", file as u64, trial, bytes.len() as u64);
                bytes[at as usize] ^= 1 << crate::order::draw("bit", 0, trial, 8);
                if let Err(error) = read(&bytes) {
                    assert!(!error.to_string().contains('\n'), "{error}");
                }
            }
        }
    }
}
