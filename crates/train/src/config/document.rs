//! The text of a configuration with its `--set` overrides merged in, each key
//! still knowing where it was written.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, Deserializer},
};

use super::{
    depth,
    error::{ConfigError, Place},
    locate::{self, Found},
    overrides::Override,
    read, wording,
};

/// A configuration as it was written: TOML, but not yet known to make sense.
#[derive(Debug, Clone)]
pub struct Document {
    file: PathBuf,
    text: String,
    overrides: Vec<Override>,
    /// Keys of the model that the run starts from.
    inherited: Vec<Override>,
}

impl Document {
    /// Reads the file at `path` and applies `overrides`, each `table.key=value`.
    ///
    /// # Errors
    ///
    /// A missing, empty, oversized or non-UTF-8 file, a folder, wrong TOML syntax,
    /// and overrides that are not of that form.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, ConfigError> {
        Self::parse(path, &read::text(path)?, overrides)
    }

    /// Takes `text`, called `file` in messages, and applies `overrides`.
    ///
    /// # Errors
    ///
    /// As [`Document::read`].
    pub fn parse(file: &Path, text: &str, overrides: &[String]) -> Result<Self, ConfigError> {
        let overrides = overrides
            .iter()
            .map(|text| Override::parse(text))
            .collect::<Result<_, _>>()?;
        let document = Self {
            file: file.into(),
            text: text.into(),
            overrides,
            inherited: Vec::new(),
        };
        document.root()?;
        Ok(document)
    }

    /// The same document with `keys`, each a path and a value, where nothing is written.
    #[must_use]
    pub fn inherit(&self, keys: &[(Vec<String>, toml::Value)]) -> Self {
        let inherited = keys
            .iter()
            .map(|(path, value)| Override::inherited(path.clone(), value));
        Self {
            inherited: inherited.collect(),
            ..self.clone()
        }
    }

    /// Checks the document against `T`, unknown keys and all.
    ///
    /// # Errors
    ///
    /// The first thing that `T` refuses, with its place.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        let root = self.root()?;
        T::deserialize(Deserializer::from(root.clone()))
            .map_err(|error| self.refuse(&root, error.span(), error.message()))
    }

    /// The error for what `table` turned out to be wrong with only later, when the data
    /// was known: `message` is `key = value …; remedy`, as for every check of a table.
    pub fn reject(&self, table: &str, message: &str) -> ConfigError {
        match self.root() {
            Ok(root) => {
                let span = locate::written(root.get_ref(), table).span;
                self.refuse(&root, span, message)
            }
            Err(error) => error,
        }
    }

    fn refuse(
        &self,
        root: &Spanned<DeTable<'_>>,
        span: Option<Range<usize>>,
        message: &str,
    ) -> ConfigError {
        let found = locate::find(root.get_ref(), span, message, self.text.len() + 1);
        let (what, remedy) = wording::refusal(message, &found);
        ConfigError::new(self.place(&found), what, remedy)
    }

    /// The keys of the file, changed by the overrides. What override number `i` has
    /// set is marked by a span past the end of the text.
    fn root(&self) -> Result<Spanned<DeTable<'_>>, ConfigError> {
        let fail = |offset: usize, what: &str, remedy: &str| {
            Err(ConfigError::new(
                Place::in_text(&self.file, &self.text, offset),
                what,
                remedy,
            ))
        };
        if self.text.trim().is_empty() {
            let remedy = "write a configuration, for a start a copy of `configs/text.toml`";
            return Err(ConfigError::new(
                Place::File(self.file.clone()),
                "the file is empty",
                remedy,
            ));
        }
        if let Some(offset) = depth::too_deep(&self.text) {
            return fail(
                offset,
                "keys are nested too deeply",
                "write `[table]` and `key = value`",
            );
        }
        let mut root = match DeTable::parse(&self.text) {
            Ok(root) => root,
            Err(error) => {
                let (what, remedy) = wording::syntax(error.message());
                return fail(error.span().map_or(0, |span| span.start), &what, &remedy);
            }
        };
        for (i, change) in self.overrides.iter().enumerate() {
            change.apply(root.get_mut(), override_span(&self.text, i))?;
        }
        for (i, key) in self.inherited.iter().enumerate() {
            if !key.is_written(root.get_ref()) {
                let span = override_span(&self.text, self.overrides.len() + i);
                key.apply(root.get_mut(), span)?;
            }
        }
        Ok(root)
    }

    fn place(&self, found: &Found) -> Place {
        let Some(span) = &found.span else {
            return Place::File(self.file.clone());
        };
        match span.start.checked_sub(self.text.len() + 1) {
            Some(i) => match self.overrides.get(i) {
                Some(change) => Place::Override(change.text().into()),
                None => {
                    let key = &self.inherited[i - self.overrides.len()];
                    Place::Inherited(self.file.clone(), key.text().into())
                }
            },
            None => Place::in_text(&self.file, &self.text, span.start),
        }
    }
}

/// The mark of what override number `i` has set.
fn override_span(text: &str, i: usize) -> Range<usize> {
    let start = text.len() + 1 + i;
    start..start + 1
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::config::{RunTable, TrainTable};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Tables {
        run: RunTable,
        train: TrainTable,
    }

    const GOOD: &str = "\
[run]
name = \"x\" # names the folder

[train]
steps = 10
batch_size = 4
lr = 1e-3
";

    fn load(text: &str, overrides: &[&str]) -> Result<Tables, ConfigError> {
        let overrides: Vec<String> = overrides.iter().map(|&text| text.into()).collect();
        Document::parse(Path::new("c.toml"), text, &overrides)?.to()
    }

    #[track_caller]
    fn refused(text: &str, overrides: &[&str]) -> String {
        load(text, overrides).expect_err(text).to_string()
    }

    #[test]
    fn an_error_names_its_place_and_a_remedy() {
        for (good, bad, want) in [
            (
                "steps",
                "stepz",
                "c.toml:5:1: unknown key `stepz` in [train]; did you mean `steps`?",
            ),
            (
                "[train]",
                "[trian]",
                "c.toml:4:2: unknown table [trian]; did you mean [train]?",
            ),
            (
                "lr",
                "learning_rate",
                "c.toml:7:1: unknown key `learning_rate` in [train]; did you mean `lr`?",
            ),
            (
                "10",
                "\"10\"",
                "c.toml:5:9: `train.steps` is the text \"10\", not a whole number, 0 or more; remove the quotes",
            ),
            (
                "10",
                "-1",
                "c.toml:5:9: `train.steps` is -1, not a whole number, 0 or more; write a whole number, 0 or more",
            ),
            (
                "10",
                "0",
                "c.toml:5:1: steps = 0 is out of range; use 1 to 1000000000",
            ),
            (
                "\"x\"",
                "1",
                "c.toml:2:8: `run.name` is 1, not a string; put it in double quotes",
            ),
            (
                "lr = 1e-3\n",
                "",
                "c.toml:4:1: the key `lr` is missing in [train]; add `lr = …`",
            ),
            (
                "lr = 1e-3",
                "lr = 1e-3\nschedule = \"cosin\"",
                "c.toml:8:12: `train.schedule` cannot be \"cosin\"; did you mean \"cosine\"?",
            ),
            (
                "lr = 1e-3",
                "lr = 1e-3\nmomentum = 0.9",
                "c.toml:8:1: momentum = 0.9 has no use with optimizer = \"adamw\"; remove it",
            ),
            (
                "lr = 1e-3",
                "lr = nan",
                "c.toml:7:1: lr = NaN is out of range; use more than 0, at most 100",
            ),
            (
                "steps = 10",
                "steps = 10\nepochs = 1",
                "c.toml:6:1: epochs = 1 and steps = 10 contradict each other; keep one of them",
            ),
            (
                "\"x\"",
                "\"x\"\nprecision = \"f16\"",
                "c.toml:3:13: `run.precision` cannot be \"f16\"; did you mean \"bf16\"?",
            ),
            (
                "\"x\"",
                "\"x\"\ndevice = \"gpu\"",
                "c.toml:3:10: device = \"gpu\" is unknown; use \"cpu\", \"cuda\", \"cuda:1\" or \"auto\"",
            ),
            (
                "10",
                "10\nsteps = 2",
                "c.toml:6:1: duplicate key; keep one of the two",
            ),
            (
                "name = \"x\"",
                "name = x",
                "c.toml:2:8: string values must be quoted, expected literal string; put the text in double quotes",
            ),
        ] {
            assert_eq!(refused(&GOOD.replacen(good, bad, 1), &[]), want);
        }
        let without = GOOD
            .replace("[train]", "")
            .replace("steps = 10\nbatch_size = 4\nlr = 1e-3\n", "");
        assert_eq!(
            refused(&without, &[]),
            "c.toml: the table [train] is missing; add a [train] table"
        );
        assert_eq!(
            refused(" \n", &[]),
            "c.toml: the file is empty; write a configuration, for a start a copy of `configs/text.toml`"
        );
    }

    #[test]
    fn an_override_changes_adds_and_removes_keys() -> Result<(), ConfigError> {
        let tables = load(
            GOOD,
            &[
                "train.schedule=cosine",
                "train.steps=",
                "train.epochs = 3",
                "run.name='a-b'",
                "train.lr=1",
                "run.seed=7",
            ],
        );
        // TOML tells whole numbers from others, so `lr = 1` needs to be accepted as a number.
        let tables = tables?;
        assert_eq!(tables.run.name(), "a-b");
        assert_eq!(tables.run.seed(), 7);
        assert_eq!(tables.train.length(), crate::config::Length::Epochs(3));
        assert_eq!(tables.train.lr(), 1.0);
        Ok(())
    }

    #[test]
    fn an_override_is_blamed_for_its_own_mistakes() {
        for (text, want) in [
            (
                "lr=1",
                "--set `lr=1`: does not name a key inside a table; write `--set table.key=value`",
            ),
            (
                "train.lr",
                "--set `train.lr`: has no `=`; write `--set table.key=value`",
            ),
            (
                "train.=1",
                "--set `train.=1`: has an empty name before the `=`; write `--set table.key=value`",
            ),
            (
                "train.lr.x=1",
                "--set `train.lr.x=1`: `lr` is not a table; write `--set table.key=value`",
            ),
            (
                "train.lr=[1",
                "--set `train.lr=[1`: the value is not valid TOML; quote it as a string",
            ),
            (
                "train.lr=big",
                "--set `train.lr=big`: `train.lr` is the text \"big\", not a number; write a number",
            ),
            (
                "train.stepz=1",
                "--set `train.stepz=1`: unknown key `stepz` in [train]; did you mean `steps`?",
            ),
            (
                "optim.lr=1",
                "--set `optim.lr=1`: unknown table [optim]; known: [run] and [train]",
            ),
            (
                "train.epochs=1",
                "--set `train.epochs=1`: epochs = 1 and steps = 10 contradict each other; keep one of them",
            ),
            (
                "train.warmup_steps=11",
                "--set `train.warmup_steps=11`: warmup_steps = 11 is out of range; use 0 to 10",
            ),
        ] {
            assert_eq!(refused(GOOD, &[text]), want);
        }
    }

    #[test]
    fn hostile_text_is_refused_and_nothing_more() {
        let long = "x".repeat(10_000_000);
        for text in [
            format!("[run]\nname = \"{long}\""),
            format!("{long} = 1"),
            format!("[run]\nname = {}", "[".repeat(100_000)),
            format!(
                "[run]\nname = {}1{}",
                "{a=".repeat(100_000),
                "}".repeat(100_000)
            ),
            format!("[{}a]\nb = 1", "a.".repeat(100_000)),
            format!("{}a = 1", "a.".repeat(100_000)),
            "\u{feff}[run]\nname = 3".into(),
            "[run]\r\nname = \"\u{0}\"".into(),
            "[run]\nseed = 99999999999999999999999999".into(),
            "[run]\nname = \"é".into(),
        ] {
            let line = refused(&text, &[]);
            assert!(line.len() < 2000 && !line.contains('\n'), "{line}");
        }
        let deep = format!("run.name={}", "[".repeat(100_000));
        assert!(refused(GOOD, &[&deep]).len() < 2000);
    }
}
