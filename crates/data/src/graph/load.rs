//! Graphs of a `[data]` table, read or made.

use std::fs::File;
use std::path::Path;

use super::generate::{cluster, karate, pattern, random};
use super::names::Names;
use super::recipe::Recipe;
use super::set::Graph;
use super::{GraphDataConfig, read};
use crate::{Error, Result};

/// Graphs by where they come from.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) main: Vec<Graph>,
    /// Graphs that are of the validation part for sure.
    pub(super) val: Vec<Graph>,
    /// Graphs that are of the test part for sure.
    pub(super) test: Vec<Graph>,
}

impl Loaded {
    pub(super) fn all(&mut self) -> impl Iterator<Item = &mut Graph> {
        let both = self.main.iter_mut().chain(&mut self.val);
        both.chain(&mut self.test)
    }
}

/// What `config` names, all of it but `val`.
pub(super) fn load(
    config: &GraphDataConfig,
    names: &mut Names,
    fingerprint: &mut blake3::Hasher,
) -> Result<Loaded> {
    // How the data are cut and what is added is part of what they are.
    fingerprint.update(format!("{config:?}").as_bytes());
    let path = config.path();
    if let (Ok(Some(recipe)), Some(counts)) = (config.recipe(), config.generate()) {
        let made = match recipe {
            Recipe::Pattern => pattern(counts),
            Recipe::Cluster => cluster(counts),
            Recipe::Random => random(counts),
        };
        *names = Names::frozen(&made.schema);
        return Ok(Loaded {
            main: made.train,
            val: made.val,
            test: made.test,
        });
    }
    let main = match path.to_str() == Some(GraphDataConfig::KARATE) {
        true => vec![karate(names, config)?],
        false => {
            hash_files(path, config, fingerprint)?;
            read::read(path, config, names)?
        }
    };
    Ok(Loaded {
        main,
        ..Loaded::default()
    })
}

/// Makes the content of the files at `path` part of `fingerprint`.
pub(super) fn hash_files(
    path: &Path,
    config: &GraphDataConfig,
    fingerprint: &mut blake3::Hasher,
) -> Result<()> {
    for path in read::files(path, config)? {
        let file = File::open(&path).map_err(|cause| Error::read(&path, cause))?;
        let mut content = blake3::Hasher::new();
        content
            .update_reader(file)
            .map_err(|cause| Error::read(&path, cause))?;
        fingerprint.update(content.finalize().as_bytes());
    }
    Ok(())
}
