//! Which keys of a configuration may change while a run is interrupted.

use std::collections::BTreeMap;
use std::fmt;

use toml::{Table, Value};

/// Keys, or whole tables, that do not change what a step computes from the state
/// before it. Everything else is fixed when a run begins.
///
/// A run may be made longer or shorter: its schedule is a function of the step and
/// the new length from there on. It may move to another device or machine, at the
/// price of the last bits. Data, and the model that it
/// started from, may move: they are told apart by their hash. What
/// is kept of a block for the backward pass decides about memory and time, but no bit.
const FREE: [&str; 14] = [
    "run.name",
    "run.device",
    "run.threads",
    "model.memory",
    "init.from",
    "data.path",
    "data.val",
    "data.test",
    "data.cache",
    "train.steps",
    "train.epochs",
    "train.log_every",
    "eval",
    "checkpoint",
];

/// A key that two configurations disagree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    key: String,
    old: Option<String>,
    new: Option<String>,
}

impl Difference {
    /// Whether a run may go on nevertheless.
    pub(super) fn is_free(&self) -> bool {
        is_free(&self.key)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".into());
        write!(
            f,
            "{} = {}, was {}",
            self.key,
            show(&self.new),
            show(&self.old)
        )
    }
}

fn is_free(key: &str) -> bool {
    FREE.iter().any(|free| {
        key.strip_prefix(free)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// The keys on which `old` and `new` disagree, in order.
///
/// # Errors
///
/// One of them is not TOML; the message is one line.
pub(super) fn differences(old: &str, new: &str) -> Result<Vec<Difference>, String> {
    let (old, new) = (flatten(old)?, flatten(new)?);
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differences = keys
        .into_iter()
        .filter(|key| old.get(*key) != new.get(*key));
    Ok(differences
        .map(|key| Difference {
            key: key.clone(),
            old: old.get(key).cloned(),
            new: new.get(key).cloned(),
        })
        .collect())
}

/// A hash of the keys of a configuration that are fixed when a run begins.
///
/// The order of the keys, comments and spelling do not count.
///
/// # Errors
///
/// `config` is not TOML; the message is one line.
pub fn config_identity(config: &str) -> Result<blake3::Hash, String> {
    let mut hasher = blake3::Hasher::new();
    for (key, value) in flatten(config)?.iter().filter(|(key, _)| !is_free(key)) {
        hasher.update(format!("{key} = {value}\n").as_bytes());
    }
    Ok(hasher.finalize())
}

/// The values of a configuration by dotted key.
fn flatten(config: &str) -> Result<BTreeMap<String, String>, String> {
    let table: Table = config
        .parse()
        .map_err(|error: toml::de::Error| format!("is not valid TOML: {}", error.message()))?;
    let mut flat = BTreeMap::new();
    flatten_into(&mut flat, "", &table);
    Ok(flat)
}

fn flatten_into(flat: &mut BTreeMap<String, String>, prefix: &str, table: &Table) {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        match value {
            Value::Table(table) => flatten_into(flat, &format!("{key}."), table),
            value => {
                flat.insert(key, value.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "[train]\nlr = 1e-3\nsteps = 10\n[model]\nmask = { band = { left = 2 } }\n";

    #[test]
    fn differences_are_named_by_dotted_key() -> Result<(), String> {
        let new =
            "[model]\nmask = { band = { left = 3 } }\n[train]\nsteps = 20\nlr = 0.001\nema = 0.9";
        let found = differences(OLD, new)?;
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "model.mask.band.left = 3, was 2",
                "train.ema = 0.9, was nothing",
                "train.steps = 20, was 10",
            ]
        );
        let free: Vec<bool> = found.iter().map(Difference::is_free).collect();
        assert_eq!(free, [false, false, true]);
        Ok(())
    }

    #[test]
    fn whole_tables_are_free_but_not_keys_that_begin_alike() {
        assert!(is_free("eval.every") && is_free("checkpoint.keep") && is_free("train.steps"));
        assert!(is_free("model.memory") && !is_free("model.n_layers"));
        assert!(!is_free("evaluation") && !is_free("train.steps_more") && !is_free("train"));
    }

    #[test]
    fn identity_is_of_what_is_fixed() -> Result<(), String> {
        let same = "[model]\nmask.band.left = 2 # a comment\n[train]\nsteps = 99\nlr = 0.001";
        assert_eq!(config_identity(OLD)?, config_identity(same)?);
        assert_ne!(
            config_identity(OLD)?,
            config_identity(&OLD.replace("1e-3", "2e-3"))?
        );
        Ok(())
    }

    #[test]
    fn what_is_not_toml_is_an_error_of_one_line() {
        let error = config_identity("[a\nb").expect_err("it is not TOML");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
