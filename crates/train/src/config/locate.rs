//! Finds the key that an error is about.
//!
//! The deserialiser knows the place of a wrong key and of a value of the wrong
//! type. An error found by a check (`d_model = 130 is not a multiple of
//! n_heads = 8`) only knows the table; its message names the keys, by the
//! convention of every message here, and so they can be looked up.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::mentioned::mentioned;

/// A place in a document.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    /// Bytes of the text, `None` for the document as a whole.
    pub(super) span: Option<Range<usize>>,
    /// Names from the root down to the key.
    pub(super) path: Vec<String>,
}

/// What the error with `span` and `message` is about.
///
/// Of several keys that the message names, the first that an override has set is to
/// blame (its span starts at `overridden` or later), then the first that is written.
pub(super) fn find(
    root: &DeTable<'_>,
    span: Option<Range<usize>>,
    message: &str,
    overridden: usize,
) -> Found {
    let mut here = Found::default();
    let mut table = Some(root);
    if let Some(span) = span {
        let mut path = Vec::new();
        if let Some(value) = descend(root, &span, &mut path) {
            table = value.as_table();
            here = Found {
                span: Some(span),
                path,
            };
        }
    }
    let Some(table) = table else { return here };
    let keys = mentioned(message);
    let named: Vec<Found> = keys
        .iter()
        .filter_map(|key| {
            let beside = || {
                key.contains('.')
                    .then(|| written_in(root, key, &[]))
                    .flatten()
            };
            written_in(table, key, &here.path).or_else(beside)
        })
        .collect();
    let set = |found: &&Found| {
        found
            .span
            .as_ref()
            .is_some_and(|span| span.start >= overridden)
    };
    named
        .iter()
        .find(set)
        .or(named.first())
        .cloned()
        .unwrap_or(here)
}

/// The place of `key`, written `table.key`, or of the innermost table of it there is.
pub(super) fn written(root: &DeTable<'_>, key: &str) -> Found {
    let tables = std::iter::successors(Some(key), |key| {
        key.rsplit_once('.').map(|(outer, _)| outer)
    });
    tables
        .filter_map(|key| written_in(root, key, &[]))
        .next()
        .unwrap_or_default()
}

/// The place of `key` below `table`, whose own path is `prefix`.
fn written_in(table: &DeTable<'_>, key: &str, prefix: &[String]) -> Option<Found> {
    let mut path = prefix.to_vec();
    let mut table = Some(table);
    let mut span = None;
    for name in key.split('.') {
        let (key, value) = table?.get_key_value(name)?;
        path.push(name.to_owned());
        span = Some(key.span());
        table = value.get_ref().as_table();
    }
    Some(Found { span, path })
}

/// The value that `span` or whose key's `span` is exactly this one; `path` becomes its path.
fn descend<'a, 'i>(
    table: &'a DeTable<'i>,
    span: &Range<usize>,
    path: &mut Vec<String>,
) -> Option<&'a DeValue<'i>> {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        if key.span() == *span || value.span() == *span {
            return Some(value.get_ref());
        }
        if let Some(found) = value
            .get_ref()
            .as_table()
            .and_then(|inner| descend(inner, span, path))
        {
            return Some(found);
        }
        path.pop();
    }
    None
}
