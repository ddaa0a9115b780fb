//! The configurations that come with the project, and the schema that describes them.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use toml::{Table, Value};
use train::config::{Document, RunConfig, schema};

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

/// What each configuration with `[init]` begins with: another configuration, or keys.
const BASES: &[(&str, &str)] = &[
    ("fsdd-new-speaker", "real/fsdd-speaker.toml"),
    ("shakespeare-to-milton", "real/shakespeare-char.toml"),
    ("fashion-from-digits", "real/digits.toml"),
    ("mutag-from-solubility", "real/solubility.toml"),
    ("minilm-r8", MINILM),
    ("minilm-r8-lora", MINILM),
];

/// As much of all-MiniLM-L6-v2 as a configuration takes over.
const MINILM: &str = "[model]\nd_model = 384\nn_heads = 12\nn_layers = 6\nd_ff = 1536\n\
                      position = 'learnt'\nnorm_placement = 'post'\nembed_norm = true\n\
                      token_types = 2\n[data]\ntokenizer = 'init'\n";

/// The configuration of `file`, with the keys that it takes over where it has `[init]`.
fn load(file: &Path) -> Result<RunConfig, Box<dyn Error>> {
    let document = Document::read(file, &[])?;
    if !document.to::<Table>()?.contains_key("init") {
        return Ok(RunConfig::of(&document)?);
    }
    let name = file.file_stem().ok_or("no name")?.to_string_lossy();
    let (_, base) = BASES
        .iter()
        .find(|(of, _)| *of == name)
        .ok_or_else(|| format!("{}: add what it begins with", file.display()))?;
    let base = match base.strip_suffix(".toml") {
        Some(_) => fs::read_to_string(folder().join(base))?,
        None => (*base).to_owned(),
    };
    let mut keys = Vec::new();
    let base: Table = base.parse()?;
    for (table, names) in [
        ("model", None),
        (
            "data",
            Some(["tokenizer", "features", "sample_rate", "encodings"]),
        ),
    ] {
        let of_table = base.get(table).and_then(Value::as_table);
        for (key, value) in of_table.into_iter().flatten() {
            if names.is_none_or(|names| names.contains(&key.as_str())) {
                keys.push((vec![table.to_owned(), key.clone()], value.clone()));
            }
        }
    }
    Ok(RunConfig::of(&document.inherit(&keys))?)
}

#[test]
fn every_configuration_is_valid_and_survives_being_written_out() -> Result<(), Box<dyn Error>> {
    let mut files = Vec::new();
    configs(&folder(), &mut files)?;
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        let config = load(&file)?;
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
