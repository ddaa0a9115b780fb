//! Any `tokenizer.json`, through the tokenizers crate.

use std::path::PathBuf;

use serde_json::Value;
use tokenizers::{PostProcessor, Tokenizer as Inner, TruncationDirection};

use super::Start;
use crate::contain::contain;
use crate::{Error, Place, Result};

/// A tokenizer of the tokenizers crate, of which no panic gets out.
pub(super) struct Library {
    inner: Inner,
    vocab_size: usize,
    /// The file it came from, for messages.
    path: PathBuf,
}

/// Text that makes most settings do their work once.
const PROBE: &str = "The quick brown fox, 42 times: naïve ﬁancé\u{301}s — 東京 🦊\r\n\t  don't!";

impl Library {
    /// Makes the tokenizer that a checked `value` describes, whose text is `json`.
    ///
    /// Returns the text to keep as well: `json`, unless settings that make tokens
    /// depend on more than the text had to be switched off.
    pub(super) fn load(mut value: Value, json: &str, at: &Place) -> Result<(Self, String)> {
        let damaged = |reason: String| Error::Tokenizer {
            at: at.clone(),
            reason,
        };
        let text = if switch_off_extras(&mut value) {
            format!("{value:#}\n")
        } else {
            json.into()
        };

        let inner = contain(|| serde_json::from_value::<Inner>(value))
            .map_err(&damaged)?
            .map_err(|error| damaged(error.to_string()))?;
        let vocab_size = contain(|| dense_ids(&inner))
            .and_then(|size| size)
            .map_err(&damaged)?;

        let library = Self {
            inner,
            vocab_size,
            path: at.path.clone(),
        };
        library.probe().map_err(damaged)?;
        Ok((library, text))
    }

    /// Uses every part once, so that what panics does so here and not mid-run.
    ///
    /// An orderly error is no damage: a tokenizer without unknown token may
    /// refuse the probe.
    fn probe(&self) -> Result<(), String> {
        for special in [false, true] {
            let encoded = contain(|| self.inner.encode(PROBE, special))?;
            for ids in encoded.iter().map(|encoding| encoding.get_ids()) {
                if let Some(id) = ids.iter().find(|&&id| id as usize >= self.vocab_size) {
                    return Err(format!(
                        "encodes to id {id}, past its {} tokens",
                        self.vocab_size
                    ));
                }
                // A decoder that refuses is met again when it is used.
                let _ = contain(|| self.inner.decode(ids, true))?;
            }
        }
        Ok(())
    }

    pub(super) fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        let encoding = self.call(|inner| inner.encode_fast(text, special))?;
        let encoding = encoding.map_err(refused)?;
        self.checked(encoding.get_ids().to_vec())
    }

    /// As `encode` with special tokens; of a text with more than `max_len` tokens the end
    /// is left out, but not the special tokens behind it.
    pub(super) fn encode_sequence(&self, text: &str, max_len: usize) -> Result<Vec<u32>> {
        let whole = self.encode(text, true)?;
        if whole.len() <= max_len {
            return Ok(whole);
        }
        let cut = |inner: &Inner| {
            let special = inner
                .get_post_processor()
                .map_or(0, |p| p.added_tokens(false));
            let mut encoding = inner.encode_fast(text, false)?;
            let max_len = max_len.saturating_sub(special);
            encoding.truncate(max_len, 0, TruncationDirection::Right);
            inner.post_process(encoding, None, true)
        };
        let encoding = self.call(cut)?.map_err(refused)?;
        let mut ids = self.checked(encoding.get_ids().to_vec())?;
        // Where not even the special tokens fit.
        ids.truncate(max_len);
        Ok(ids)
    }

    pub(super) fn encode_starts(&self, text: &str) -> Result<Vec<Start>> {
        let encoding = self
            .call(|inner| inner.encode(text, false))?
            .map_err(refused)?;
        let ids = self.checked(encoding.get_ids().to_vec())?;
        let starts = encoding.get_offsets().iter().map(|&(start, _)| start);
        Ok(ids
            .into_iter()
            .zip(starts)
            .map(|(id, byte)| Start { id, byte })
            .collect())
    }

    pub(super) fn decode(&self, ids: &[u32]) -> Result<String> {
        self.call(|inner| inner.decode(ids, true))?
            .map_err(|error| Error::Decode {
                reason: one_line(&*error),
            })
    }

    pub(super) fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    pub(super) fn id_of(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    pub(super) fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    fn call<T>(&self, f: impl FnOnce(&Inner) -> T) -> Result<T> {
        contain(|| f(&self.inner)).map_err(|reason| Error::Tokenizer {
            at: Place::file(&self.path),
            reason,
        })
    }

    /// `ids`, if the embedding will have a row for each.
    fn checked(&self, ids: Vec<u32>) -> Result<Vec<u32>> {
        match ids.iter().find(|&&id| id as usize >= self.vocab_size) {
            None => Ok(ids),
            Some(id) => {
                let reason = format!("encodes to id {id}, past its {} tokens", self.vocab_size);
                Err(Error::Tokenizer {
                    at: Place::file(&self.path),
                    reason,
                })
            }
        }
    }
}

/// Clears truncation, padding and dropout; true if there was any.
fn switch_off_extras(value: &mut Value) -> bool {
    let mut changed = false;
    for pointer in ["/truncation", "/padding", "/model/dropout"] {
        if let Some(setting) = value
            .pointer_mut(pointer)
            .filter(|setting| !setting.is_null())
        {
            *setting = Value::Null;
            changed = true;
        }
    }
    changed
}

/// The number of ids, if they are `0..n` without gaps.
fn dense_ids(inner: &Inner) -> Result<usize, String> {
    let mut ids: Vec<u32> = inner.get_vocab(true).into_values().collect();
    ids.sort_unstable();
    ids.dedup();
    match ids
        .iter()
        .zip(0u32..)
        .find(|&(&id, expected)| id != expected)
    {
        None if ids.is_empty() => Err("the vocabulary is empty".into()),
        None => Ok(ids.len()),
        Some((id, expected)) => Err(format!(
            "ids have a gap: {id} follows where {expected} is missing"
        )),
    }
}

fn refused(error: tokenizers::Error) -> Error {
    Error::Encode {
        at: Place::file("text"),
        reason: one_line(&*error),
    }
}

fn one_line(error: &dyn std::error::Error) -> String {
    error
        .to_string()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
