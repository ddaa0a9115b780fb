//! Characters as tokens.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::{Error, Place, Result};

/// The token for characters that are not in the vocabulary.
const UNKNOWN: &str = "[UNK]";

/// What happens to a character that is not in the vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// It is an error that names the character: for a model that writes, since
    /// it could never write it.
    Refused,
    /// It is read as the token `[UNK]`, id 0: for a model that only reads.
    Token,
}

/// A vocabulary of single characters.
pub(super) struct Chars {
    /// What each id is written as, after `[UNK]` if there is one.
    characters: Vec<char>,
    /// Id of each code point up to the largest; `ABSENT` where there is none.
    ids: Vec<u32>,
    unknown: Unknown,
}

const ABSENT: u32 = u32::MAX;

impl Chars {
    pub(super) fn new(characters: impl IntoIterator<Item = char>, unknown: Unknown) -> Self {
        let characters: BTreeSet<char> = characters.into_iter().collect();
        let characters: Vec<char> = characters.into_iter().collect();
        let largest = characters.last().map_or(0, |&c| c as usize);
        let mut ids = vec![ABSENT; largest + 1];
        let first = u32::from(unknown == Unknown::Token);
        for (id, &c) in (first..).zip(&characters) {
            ids[c as usize] = id;
        }
        Self {
            characters,
            ids,
            unknown,
        }
    }

    /// The vocabulary of a `tokenizer.json` that [`to_json`](Self::to_json) wrote.
    pub(super) fn from_value(value: &Value) -> Option<Self> {
        let vocab = value.pointer("/model/vocab")?.as_object()?;
        let unknown = if vocab.contains_key(UNKNOWN) {
            Unknown::Token
        } else {
            Unknown::Refused
        };
        let mut characters = Vec::with_capacity(vocab.len());
        for token in vocab.keys().filter(|token| *token != UNKNOWN) {
            let mut of_token = token.chars();
            characters.push(of_token.next()?);
            if of_token.next().is_some() {
                return None;
            }
        }
        let chars = Self::new(characters, unknown);
        (chars.to_value() == *value).then_some(chars)
    }

    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let mut tokens = Vec::with_capacity(text.len());
        for (byte, character) in text.char_indices() {
            let id = self.ids.get(character as usize).copied().unwrap_or(ABSENT);
            match (id, self.unknown) {
                (ABSENT, Unknown::Token) => tokens.push(0),
                (ABSENT, Unknown::Refused) => {
                    let at = Place::file("text").advance(text, byte);
                    let vocab_size = self.vocab_size();
                    return Err(Error::UnknownCharacter {
                        at,
                        character,
                        vocab_size,
                    });
                }
                (id, _) => tokens.push(id),
            }
        }
        Ok(tokens)
    }

    pub(super) fn decode(&self, ids: &[u32]) -> String {
        let first = u32::from(self.unknown == Unknown::Token);
        let mut text = String::with_capacity(ids.len());
        for &id in ids {
            match id
                .checked_sub(first)
                .and_then(|i| self.characters.get(i as usize))
            {
                Some(&c) => text.push(c),
                None => text.push_str(UNKNOWN),
            }
        }
        text
    }

    pub(super) fn vocab_size(&self) -> usize {
        self.characters.len() + usize::from(self.unknown == Unknown::Token)
    }

    pub(super) fn token(&self, id: u32) -> Option<String> {
        ((id as usize) < self.vocab_size()).then(|| self.decode(&[id]))
    }

    pub(super) fn id_of(&self, token: &str) -> Option<u32> {
        if token == UNKNOWN && self.unknown == Unknown::Token {
            return Some(0);
        }
        let mut characters = token.chars();
        let (Some(c), None) = (characters.next(), characters.next()) else {
            return None;
        };
        self.ids.get(c as usize).copied().filter(|&id| id != ABSENT)
    }

    pub(super) fn to_json(&self) -> String {
        format!("{:#}\n", self.to_value())
    }

    /// Every character a word of its own, glued together again by the decoder.
    fn to_value(&self) -> Value {
        let unknown = (self.unknown == Unknown::Token).then(|| UNKNOWN.to_string());
        let tokens = unknown
            .into_iter()
            .chain(self.characters.iter().map(char::to_string));
        let vocab: Map<String, Value> = tokens.zip((0u32..).map(Value::from)).collect();
        json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": [],
            "normalizer": null,
            "pre_tokenizer": {
                "type": "Split", "pattern": {"Regex": r"[\s\S]"}, "behavior": "Isolated", "invert": false,
            },
            "post_processor": null,
            "decoder": {"type": "Fuse"},
            "model": {"type": "WordLevel", "vocab": vocab, "unk_token": UNKNOWN},
        })
    }
}
