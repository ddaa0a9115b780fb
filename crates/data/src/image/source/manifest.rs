//! A table that names a file and its class in each row.

use std::path::{Component, Path};

use super::file;
use super::files::Listed;
use crate::rows::Rows;
use crate::{Error, Place, Result};

/// The pictures that the rows of `path` name, in their order.
///
/// Paths are relative to the folder of the table and stay inside it.
///
/// # Errors
///
/// A table without these columns, a ragged row, and a path that leaves the folder.
pub(super) fn list(path: &Path, image_column: &str, label_column: &str) -> Result<Vec<Listed>> {
    let mut rows = Rows::new(file::open(path)?, path, delimiter(path));
    let names = rows.header()?;
    let column = |name: &str| {
        let missing = || Error::MissingColumn {
            at: Place::line(path, 1),
            column: name.to_string(),
            columns: names.clone(),
        };
        names.iter().position(|n| n == name).ok_or_else(missing)
    };
    let (image, label) = (column(image_column)?, column(label_column)?);
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut listed = Vec::new();
    while let Some(at) = rows.next()? {
        if rows.len() != names.len() {
            return Err(Error::Ragged {
                at,
                found: rows.len(),
                expected: names.len(),
            });
        }
        let name = rows.field(image, &at)?;
        if !stays_inside(Path::new(&name)) {
            return Err(Error::image(
                &at,
                format!("the path `{name}` leaves the folder of the table"),
                "move the picture below that folder and name it relative to it",
            ));
        }
        let label = rows.field(label, &at)?;
        // Errors name the row and the file.
        let place = format!("{at}: {}", folder.join(&name).display());
        listed.push(Listed {
            path: folder.join(&name),
            label,
            at: Place::file(place),
        });
    }
    Ok(listed)
}

/// A tab for `.tsv`, gzipped or not; else a comma.
pub(super) fn delimiter(path: &Path) -> u8 {
    let name = path.to_string_lossy().to_ascii_lowercase();
    match name.strip_suffix(".gz").unwrap_or(&name).ends_with(".tsv") {
        true => b'\t',
        false => b',',
    }
}

fn stays_inside(path: &Path) -> bool {
    let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    path.components().all(inside) && path.file_name().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_the_folder_stay_inside() {
        for (path, inside) in [
            ("a.png", true),
            ("./a/b.png", true),
            ("../a.png", false),
            ("a/../../b.png", false),
            ("/etc/passwd", false),
            ("", false),
        ] {
            assert_eq!(stays_inside(Path::new(path)), inside, "{path}");
        }
    }
}
