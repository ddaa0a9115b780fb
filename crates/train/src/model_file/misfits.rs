//! Tensors that are there, against those that should be.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::{Misfit, ModelFileError};
use super::header::TensorInfo;

/// Checks that `found`, the tensors of the file at `path`, are `expected` by name and shape.
///
/// # Errors
///
/// [`ModelFileError::Misfits`] with every difference, in order of name.
pub(super) fn misfits<'a, 'b>(
    path: &Path,
    found: impl Iterator<Item = (&'a str, &'a TensorInfo)>,
    expected: impl IntoIterator<Item = (&'b str, &'b [usize])>,
) -> Result<(), ModelFileError> {
    let mut missing: BTreeMap<&str, &[usize]> = expected.into_iter().collect();
    let mut misfits = BTreeMap::new();
    for (name, info) in found {
        let owned = name.to_owned();
        let misfit = match missing.remove(name) {
            None => Misfit::Unexpected(owned),
            Some(shape) if shape != info.shape => Misfit::Shape {
                name: owned,
                found: info.shape.clone(),
                expected: shape.to_vec(),
            },
            Some(_) => continue,
        };
        misfits.insert(name.to_owned(), misfit);
    }
    let missing = missing.into_keys().map(str::to_owned);
    misfits.extend(missing.map(|name| (name.clone(), Misfit::Missing(name))));
    match misfits.is_empty() {
        true => Ok(()),
        false => Err(ModelFileError::Misfits {
            path: path.to_path_buf(),
            misfits: misfits.into_values().collect(),
        }),
    }
}
