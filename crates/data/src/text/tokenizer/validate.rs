//! What is checked in a `tokenizer.json` before the tokenizers crate sees it.
//!
//! The crate trusts its files: a merge that is longer than every token indexes
//! out of bounds, a prefix that ends inside a character makes a string that is
//! not UTF-8, an id of 2³² − 1 overflows. Panics are contained as well
//! (`contain`), but what can be named is named here.

use serde_json::Value;

use crate::{Error, Place, Result};

/// Ids are below this.
const MAX_ID: u64 = 1 << 24;

/// How much longer `Replace` rules may make a text, all together.
///
/// Forty rules that double a letter would ask for a terabyte.
const MAX_GROWTH: usize = 4096;

/// The JSON of a tokenizer file that passed all checks.
pub(super) fn parse(json: &str, at: &Place) -> Result<Value> {
    let value: Value = serde_json::from_str(json).map_err(|error| Error::Tokenizer {
        at: Place::column(&at.path, error.line() as u64, error.column().max(1) as u64),
        reason: format!("not JSON: {}", crate::text::without_place(&error)),
    })?;
    check(&value).map_err(|reason| Error::Tokenizer {
        at: at.clone(),
        reason,
    })?;
    Ok(value)
}

fn check(value: &Value) -> Result<(), String> {
    let model = value.get("model").ok_or("there is no `model`")?;
    if !model.is_object() {
        return Err("`model` is not an object".into());
    }
    check_vocab(model.get("vocab").ok_or("the model has no `vocab`")?)?;
    if let Some(merges) = model.get("merges") {
        check_merges(model, merges)?;
    }
    check_added(value.get("added_tokens").unwrap_or(&Value::Null))?;
    for part in ["normalizer", "pre_tokenizer", "post_processor", "decoder"] {
        let part = value.get(part).unwrap_or(&Value::Null);
        check_lengths(part)?;
        if growth(part) > MAX_GROWTH {
            return Err(format!(
                "its `Replace` rules make text more than {MAX_GROWTH} times longer"
            ));
        }
    }
    Ok(())
}

fn check_vocab(vocab: &Value) -> Result<(), String> {
    match vocab {
        Value::Object(tokens) if !tokens.is_empty() => tokens
            .iter()
            .try_for_each(|(token, id)| check_id(token, id)),
        Value::Array(pieces) if !pieces.is_empty() => match pieces.len() as u64 {
            0..=MAX_ID => Ok(()),
            n => Err(format!("{n} pieces are more than {MAX_ID}")),
        },
        Value::Object(_) | Value::Array(_) => Err("the vocabulary is empty".into()),
        _ => Err("`vocab` is neither an object nor a list".into()),
    }
}

fn check_id(token: &str, id: &Value) -> Result<(), String> {
    match id.as_u64() {
        Some(0..MAX_ID) => Ok(()),
        _ => Err(format!(
            "token {token:?} has id {id}, not a number below {MAX_ID}"
        )),
    }
}

fn check_merges(model: &Value, merges: &Value) -> Result<(), String> {
    let merges = merges.as_array().ok_or("`merges` is not a list")?;
    let vocab = model.get("vocab").and_then(Value::as_object);
    let vocab = vocab.ok_or("`merges` need a `vocab` that is an object")?;
    let prefix = model
        .get("continuing_subword_prefix")
        .and_then(Value::as_str)
        .unwrap_or("");
    for (rank, merge) in merges.iter().enumerate() {
        let (a, b) =
            merged(merge).ok_or_else(|| format!("merge {rank} is not a pair of tokens"))?;
        let rest = b.strip_prefix(prefix).ok_or_else(|| {
            format!("merge {rank}: {b:?} does not start with the prefix {prefix:?}")
        })?;
        for token in [a, b, &format!("{a}{rest}")] {
            if !vocab.contains_key(token) {
                return Err(format!(
                    "merge {rank}: token {token:?} is not in the vocabulary"
                ));
            }
        }
    }
    Ok(())
}

/// The two sides of a merge, `["a", "b"]` or `"a b"`.
fn merged(merge: &Value) -> Option<(&str, &str)> {
    match merge {
        Value::String(pair) => pair.split_once(' '),
        Value::Array(pair) => match pair.as_slice() {
            [Value::String(a), Value::String(b)] => Some((a, b)),
            _ => None,
        },
        _ => None,
    }
}

fn check_added(added: &Value) -> Result<(), String> {
    for token in added.as_array().into_iter().flatten() {
        let content = token.get("content").and_then(Value::as_str);
        let content = content.ok_or("an added token has no `content`")?;
        check_id(content, token.get("id").unwrap_or(&Value::Null))?;
    }
    Ok(())
}

/// A `FixedLength` of zero never gets anywhere.
fn check_lengths(part: &Value) -> Result<(), String> {
    match part {
        Value::Object(fields) => {
            let is = |name| fields.get("type").and_then(Value::as_str) == Some(name);
            if is("FixedLength") && fields.get("length").and_then(Value::as_u64) == Some(0) {
                return Err("`FixedLength` has length 0".into());
            }
            fields.values().try_for_each(check_lengths)
        }
        Value::Array(items) => items.iter().try_for_each(check_lengths),
        _ => Ok(()),
    }
}

/// By how much the `Replace` rules in `part` can lengthen a text.
fn growth(part: &Value) -> usize {
    match part {
        Value::Object(fields) => {
            let own = match fields.get("type").and_then(Value::as_str) {
                Some("Replace") => fields
                    .get("content")
                    .and_then(Value::as_str)
                    .map_or(1, str::len),
                _ => 1,
            };
            fields
                .values()
                .map(growth)
                .fold(own.max(1), usize::saturating_mul)
        }
        Value::Array(items) => items.iter().map(growth).fold(1, usize::saturating_mul),
        _ => 1,
    }
}
