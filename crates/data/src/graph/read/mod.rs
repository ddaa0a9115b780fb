//! Files to graphs: a reader a format, all through [`Draft`](super::draft::Draft).

mod folds;
mod json;
mod numbered;
mod sdf;
mod tables;
mod tu;

use std::path::Path;

use super::names::Names;
use super::set::Graph;
use super::{GraphDataConfig, GraphFormat};
use crate::{Error, Place, Result};

pub(super) use folds::fold;

/// The graphs of `path`, which is another file than the data of `config`.
///
/// # Errors
///
/// As [`read`].
pub(super) fn read_as(
    path: &Path,
    config: &GraphDataConfig,
    names: &mut Names,
) -> Result<Vec<Graph>> {
    let format = match path.extension() == config.path().extension() {
        true => config.format(),
        false => None,
    };
    let format = format.unwrap_or_else(|| GraphFormat::of(path));
    read_format(path, format, config, names)
}

/// The graphs of the file or folder at `path`.
///
/// # Errors
///
/// If it cannot be read, is not what its format promises, or holds no graph.
pub(super) fn read(path: &Path, config: &GraphDataConfig, names: &mut Names) -> Result<Vec<Graph>> {
    let format = config.format().unwrap_or_else(|| GraphFormat::of(path));
    read_format(path, format, config, names)
}

fn read_format(
    path: &Path,
    format: GraphFormat,
    config: &GraphDataConfig,
    names: &mut Names,
) -> Result<Vec<Graph>> {
    let graphs = match format {
        GraphFormat::Jsonl => json::read_lines(path, config, names),
        GraphFormat::Json => json::read_file(path, config, names),
        GraphFormat::Tables => tables::read(path, config, names).map(|graph| vec![graph]),
        GraphFormat::Tu => tu::read(path, config, names),
        GraphFormat::GraphText => numbered::read(path, config, names),
        GraphFormat::Sdf => sdf::read(path, config, names),
    }?;
    match graphs.is_empty() {
        true => Err(Error::Graph {
            at: Place::file(path),
            reason: "holds no graph".into(),
            remedy: "give it some, or name another file",
        }),
        false => Ok(graphs),
    }
}

/// Every file that [`read`] depends on, for a fingerprint.
pub(super) fn files(path: &Path, config: &GraphDataConfig) -> Result<Vec<std::path::PathBuf>> {
    let mut files = match path.is_dir() {
        true => tu::files(path)?,
        false => vec![path.to_path_buf()],
    };
    files.extend(config.edges().map(Path::to_path_buf));
    Ok(files)
}
