//! The bytes of a configuration file, or why they are none.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read},
    path::Path,
};

use super::{
    error::{ConfigError, Place},
    wording::closest,
};

/// Largest configuration read, in bytes; a written one has a few thousand.
const MAX_BYTES: usize = 1 << 20;

/// Reads the file at `path` as text.
///
/// # Errors
///
/// A missing or unreadable file, a folder, more than 1 MiB, bytes that are not UTF-8.
pub(super) fn text(path: &Path) -> Result<String, ConfigError> {
    let fail =
        |what: &str, remedy: &str| Err(ConfigError::new(Place::File(path.into()), what, remedy));
    if path.is_dir() {
        return fail(
            "is a folder, not a configuration",
            "name the TOML file itself",
        );
    }
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes));
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fail("no such file", &similar_file(path))
        }
        Err(error) => fail(
            &format!("cannot be read: {error}"),
            "check the path and its permissions",
        ),
        Ok(length) if length > MAX_BYTES => fail(
            "is larger than 1 MiB",
            "name a configuration, not a data file",
        ),
        Ok(_) => String::from_utf8(bytes).map_err(|error| {
            let (at, bytes) = (error.utf8_error().valid_up_to(), error.as_bytes());
            let place = Place::in_text(path, &String::from_utf8_lossy(&bytes[..at]), at);
            ConfigError::new(
                place,
                format!("byte 0x{:02x} is not UTF-8", bytes[at]),
                "save the file as UTF-8",
            )
        }),
    }
}

/// A remedy that names a configuration beside `path` called nearly the same.
fn similar_file(path: &Path) -> String {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    let wanted = path.file_name().unwrap_or_default().to_string_lossy();
    match closest(&wanted, names.iter().map(String::as_str)) {
        Some(name) => format!("did you mean `{}`?", path.with_file_name(name).display()),
        None => "check the path".into(),
    }
}
