//! What opening any kind of text has in common.

use std::collections::BTreeSet;
use std::path::Path;

use super::join::Joined;
use super::source::{Reader, Source};
use super::tokenizer::{self, Unknown};
use super::{TextDataConfig, Tokenizer, TokenizerConfig};
use crate::{Error, Open, Result};

/// The text that the configuration calls `path`.
pub(super) fn source(path: &Path, config: &TextDataConfig, open: &Open<'_>) -> Result<Source> {
    if path == Path::new(TextDataConfig::EMBEDDED) {
        return open
            .embedded
            .map(Source::embedded)
            .ok_or(Error::NotEmbedded);
    }
    Source::open(path, config)
}

/// The tokenizer that is given, read, learnt from `text`, or made of its characters.
pub(super) fn choose_tokenizer(
    config: &TextDataConfig,
    open: &Open<'_>,
    text: &Source,
    unknown: Unknown,
) -> Result<Tokenizer> {
    if let Some(tokenizer) = &open.tokenizer {
        return Ok(tokenizer.clone());
    }
    match config.tokenizer() {
        TokenizerConfig::Bytes => Ok(Tokenizer::bytes()),
        TokenizerConfig::File(path) => Tokenizer::from_file(path),
        TokenizerConfig::Train(training) => tokenizer::train(training, text),
        TokenizerConfig::Init => Err(Error::NoModel),
        TokenizerConfig::Chars => Ok(Tokenizer::chars(characters(text)?, unknown)),
    }
}

/// Every character of `text`, with the line ends that go between documents.
fn characters(text: &Source) -> Result<BTreeSet<char>> {
    let mut characters = BTreeSet::new();
    let mut pieces = Joined::new(text.read());
    while let Some(piece) = pieces.next()? {
        // Most characters were seen before: look before inserting.
        for c in piece.text.chars() {
            if !characters.contains(&c) {
                characters.insert(c);
            }
        }
    }
    if characters.is_empty() {
        return Err(Error::Empty {
            at: text.at().clone(),
        });
    }
    Ok(characters)
}
