//! The configurations that come with the project, and the schema that describes them.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use train::config::{RunConfig, schema};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs")
}

fn configs(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            configs(&path, found)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn every_configuration_is_valid_and_survives_being_written_out() -> Result<(), Box<dyn Error>> {
    let mut files = Vec::new();
    configs(&folder(), &mut files)?;
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        let config = RunConfig::load(&file, &[])?;
        assert_eq!(
            config.to_toml().parse::<RunConfig>()?,
            config,
            "{}",
            file.display()
        );
    }
    Ok(())
}

#[test]
fn every_configuration_names_the_schema_and_its_command() -> Result<(), Box<dyn Error>> {
    let mut files = Vec::new();
    configs(&folder(), &mut files)?;
    for file in files {
        let text = fs::read_to_string(&file)?;
        let first = text.lines().next().unwrap_or_default();
        let schema = first
            .strip_prefix("#:schema ")
            .ok_or(format!("{}: no schema", file.display()))?;
        let schema = file.with_file_name("").join(schema);
        assert_eq!(
            fs::canonicalize(schema)?,
            fs::canonicalize(folder().join("schema.json"))?
        );
        let inside = file.strip_prefix(folder())?.display().to_string();
        assert!(
            text.contains(&format!("configs/{inside}")),
            "{inside}: its header lacks the command"
        );
    }
    Ok(())
}

#[test]
fn the_schema_is_current() -> Result<(), Box<dyn Error>> {
    let path = folder().join("schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, schema())?;
    }
    assert!(
        fs::read_to_string(&path)? == schema(),
        "configs/schema.json is out of date: run `UPDATE_SCHEMA=1 cargo test -p train --test train`"
    );
    Ok(())
}
