//! A file that may be gzipped.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::{Error, Result};

/// Opens `path`; what is gzipped, by its first two bytes, is unpacked while it is read.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>> {
    let failed = |cause| Error::read(path, cause);
    let mut file = File::open(path).map_err(failed)?;
    let mut start = Vec::new();
    file.by_ref()
        .take(2)
        .read_to_end(&mut start)
        .map_err(failed)?;
    file.rewind().map_err(failed)?;
    let file = BufReader::new(file);
    Ok(match start[..] {
        [0x1F, 0x8B] => Box::new(BufReader::new(MultiGzDecoder::new(file))),
        _ => Box::new(file),
    })
}
