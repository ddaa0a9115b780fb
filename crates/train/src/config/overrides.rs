//! One `--set table.key=value`.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeArray, DeString, DeTable, DeValue},
};

use super::{
    depth,
    error::{ConfigError, Place},
};

const FORM: &str = "write `--set table.key=value`";

/// A change to one key, as given on the command line.
///
/// The value has TOML's syntax; a word that TOML does not know is a string, so
/// that `train.schedule=cosine` needs no quotes. An empty value removes the key.
#[derive(Debug, Clone)]
pub(super) struct Override {
    text: String,
    path: Vec<String>,
    value: String,
}

impl Override {
    /// Takes `table.key=value` apart.
    ///
    /// # Errors
    ///
    /// No `=`, no table before the key, an empty name.
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let fail = |what: &str| ConfigError::new(Place::Override(text.into()), what, FORM);
        let (key, value) = text.split_once('=').ok_or_else(|| fail("has no `=`"))?;
        let path: Vec<String> = key.split('.').map(|name| name.trim().to_owned()).collect();
        if path.iter().any(String::is_empty) {
            return Err(fail("has an empty name before the `=`"));
        }
        if path.len() < 2 || path.len() > 4 {
            return Err(fail("does not name a key inside a table"));
        }
        if depth::too_deep(value).is_some() {
            return Err(fail("nests keys too deeply"));
        }
        Ok(Self {
            text: text.into(),
            path,
            value: value.trim().into(),
        })
    }

    /// A key that counts where nothing else is written: `value` under `path`.
    pub(super) fn inherited(path: Vec<String>, value: &toml::Value) -> Self {
        let value = value.to_string();
        Self {
            text: format!("{} = {value}", path.join(".")),
            path,
            value,
        }
    }

    /// Whether `root` has the key.
    pub(super) fn is_written(&self, root: &DeTable<'_>) -> bool {
        let mut table = root;
        for (i, name) in self.path.iter().enumerate() {
            match table.get(name.as_str()).map(Spanned::get_ref) {
                Some(_) if i + 1 == self.path.len() => return true,
                Some(DeValue::Table(inner)) => table = inner,
                // What stands in the way of a table is reported where it is read.
                Some(_) => return true,
                None => return false,
            }
        }
        false
    }

    /// What was written after `--set`.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Makes the change in `root`, marking what it adds with `span`.
    ///
    /// # Errors
    ///
    /// A value that is not TOML, or a path through something that is no table.
    pub(super) fn apply<'a>(
        &'a self,
        root: &mut DeTable<'a>,
        span: Range<usize>,
    ) -> Result<(), ConfigError> {
        let fail = |what: String, remedy: &str| {
            ConfigError::new(Place::Override(self.text.clone()), what, remedy)
        };
        let (key, tables) = self
            .path
            .split_last()
            .expect("`parse` refuses an empty path");
        let mut table = root;
        for name in tables {
            let name: DeString<'a> = name.as_str().into();
            let entry = table
                .entry(Spanned::new(span.clone(), name.clone()))
                .or_insert_with(|| Spanned::new(span.clone(), DeValue::Table(DeTable::new())));
            table = match entry.get_mut() {
                DeValue::Table(inner) => inner,
                _ => return Err(fail(format!("`{name}` is not a table"), FORM)),
            };
        }
        table.remove(key.as_str());
        if !self.value.is_empty() {
            let value = self.value().ok_or_else(|| {
                fail("the value is not valid TOML".into(), "quote it as a string")
            })?;
            table.insert(
                Spanned::new(span.clone(), key.as_str().into()),
                marked(value, &span),
            );
        }
        Ok(())
    }

    /// The value as TOML, or as a string if it is a bare word.
    fn value(&self) -> Option<DeValue<'_>> {
        let meant_as_toml = self.value.starts_with(['[', '{', '"', '\'']);
        match DeValue::parse(&self.value) {
            Ok(value) => Some(value.into_inner()),
            Err(_) if meant_as_toml => None,
            Err(_) => Some(DeValue::String(self.value.as_str().into())),
        }
    }
}

/// `value` with every place in it set to `span`.
fn marked<'a>(value: DeValue<'a>, span: &Range<usize>) -> Spanned<DeValue<'a>> {
    let value = match value {
        DeValue::Array(items) => DeValue::Array(
            items
                .into_iter()
                .map(|item| marked(item.into_inner(), span))
                .collect::<DeArray<'a>>(),
        ),
        DeValue::Table(entries) => DeValue::Table(
            entries
                .into_iter()
                .map(|(key, item)| {
                    (
                        Spanned::new(span.clone(), key.into_inner()),
                        marked(item.into_inner(), span),
                    )
                })
                .collect(),
        ),
        scalar => scalar,
    };
    Spanned::new(span.clone(), value)
}
