//! Text to token ids and back.

mod bytes;
mod chars;
mod library;
mod stream;
mod train;
mod validate;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use self::chars::Chars;
pub use self::chars::Unknown;
use self::library::Library;
pub use self::stream::DecodeStream;
pub use self::train::train;
use crate::{Error, Place, Result};

/// A `tokenizer.json` larger than this is refused.
pub const MAX_FILE_SIZE: u64 = 64 << 20;

/// Text to token ids and back: characters, bytes, or a Hugging Face tokenizer.
///
/// All three are kept in one format, `tokenizer.json`, which Hugging Face's
/// tools open and read the same way: characters are a `WordLevel` model over a
/// `Split` into single characters, bytes a byte-level `BPE` without merges.
///
/// Cheap to clone.
///
/// ```
/// use data::text::Tokenizer;
///
/// let tokenizer = Tokenizer::bytes();
/// let ids = tokenizer.encode("naïve")?;
/// assert_eq!(ids.len(), 6);
/// assert_eq!(tokenizer.decode(&ids)?, "naïve");
/// # Ok::<(), data::Error>(())
/// ```
#[derive(Clone)]
pub struct Tokenizer {
    kind: Arc<Kind>,
    json: Arc<str>,
    fingerprint: blake3::Hash,
}

enum Kind {
    Chars(Chars),
    Bytes,
    Library(Box<Library>),
}

/// One token and the byte of the text at which it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) id: u32,
    pub(crate) byte: usize,
}

impl Tokenizer {
    /// One token for each of the 256 bytes of UTF-8.
    pub fn bytes() -> Self {
        Self::new(Kind::Bytes, bytes::to_json())
    }

    /// One token for each of `characters`, in the order of their code points.
    pub fn chars(characters: impl IntoIterator<Item = char>, unknown: Unknown) -> Self {
        let chars = Chars::new(characters, unknown);
        let json = chars.to_json();
        Self::new(Kind::Chars(chars), json)
    }

    /// Reads a `tokenizer.json`.
    ///
    /// Truncation, padding and BPE dropout that the file may ask for are switched
    /// off: tokens are a function of the text.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is larger than [`MAX_FILE_SIZE`], is not JSON,
    /// or describes a tokenizer that cannot work: ids with gaps, merges of tokens
    /// that are not there, settings on which the tokenizers crate panics.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let at = Place::file(path);
        let file = File::open(path).map_err(|cause| Error::read(path, cause))?;
        let mut json = Vec::new();
        file.take(MAX_FILE_SIZE + 1)
            .read_to_end(&mut json)
            .map_err(|cause| Error::read(path, cause))?;
        if json.len() as u64 > MAX_FILE_SIZE {
            let reason = format!("larger than {MAX_FILE_SIZE} bytes");
            return Err(Error::Tokenizer { at, reason });
        }
        let json = String::from_utf8(json).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let (text, rest) = error.as_bytes().split_at(valid);
            let at = at.advance(&String::from_utf8_lossy(text), valid);
            Error::NotUtf8 { at, byte: rest[0] }
        })?;
        Self::from_json(&json, &at)
    }

    /// Reads the text of a `tokenizer.json`, which came from `at`.
    ///
    /// # Errors
    ///
    /// As [`from_file`](Self::from_file).
    pub fn from_json(json: &str, at: &Place) -> Result<Self> {
        let value = validate::parse(json, at)?;
        if value == bytes::to_value() {
            return Ok(Self::bytes());
        }
        if let Some(chars) = Chars::from_value(&value) {
            let json = chars.to_json();
            return Ok(Self::new(Kind::Chars(chars), json));
        }
        let (library, json) = Library::load(value, json, at)?;
        Ok(Self::new(Kind::Library(Box::new(library)), json))
    }

    fn new(kind: Kind, json: String) -> Self {
        let fingerprint = blake3::hash(json.as_bytes());
        Self {
            kind: Arc::new(kind),
            json: json.into(),
            fingerprint,
        }
    }

    /// The tokens of `text`, without special tokens around them.
    ///
    /// # Errors
    ///
    /// If `text` has a character that is not in the vocabulary and there is no
    /// unknown token. The place is relative to `text`.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        match &*self.kind {
            Kind::Chars(chars) => chars.encode(text),
            Kind::Bytes => Ok(bytes::encode(text)),
            Kind::Library(library) => library.encode(text, false),
        }
    }

    /// The tokens of `text`, with the special tokens that the tokenizer puts
    /// around a sequence, such as `[CLS]` and `[SEP]`; `max_len` tokens at most: of a longer
    /// text the end is left out, but not the special tokens behind it.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode).
    pub fn encode_sequence(&self, text: &str, max_len: usize) -> Result<Vec<u32>> {
        match &*self.kind {
            Kind::Library(library) => library.encode_sequence(text, max_len),
            Kind::Chars(_) | Kind::Bytes => {
                let mut ids = self.encode(text)?;
                ids.truncate(max_len);
                Ok(ids)
            }
        }
    }

    /// The tokens of `text` and where each starts.
    pub(crate) fn encode_starts(&self, text: &str) -> Result<Vec<Start>> {
        match &*self.kind {
            Kind::Library(library) => library.encode_starts(text),
            Kind::Chars(_) | Kind::Bytes => {
                let ids = self.encode(text)?;
                let chars = matches!(*self.kind, Kind::Chars(_));
                let step = |(byte, c): (usize, char)| {
                    std::iter::repeat_n(byte, if chars { 1 } else { c.len_utf8() })
                };
                let starts = text.char_indices().flat_map(step);
                Ok(ids
                    .into_iter()
                    .zip(starts)
                    .map(|(id, byte)| Start { id, byte })
                    .collect())
            }
        }
    }

    /// Whether the tokens of a text are those of its characters, one by one.
    pub(crate) fn is_local(&self) -> bool {
        !matches!(*self.kind, Kind::Library(_))
    }

    /// The text of `ids`, special tokens left out.
    ///
    /// Bytes that are not UTF-8 become U+FFFD.
    ///
    /// # Errors
    ///
    /// If an id is not below [`vocab_size`](Self::vocab_size).
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        let vocab_size = self.vocab_size();
        if let Some(id) = ids.iter().find(|&&id| id as usize >= vocab_size) {
            let reason = format!("id {id} is not below vocab_size = {vocab_size}");
            return Err(Error::Decode { reason });
        }
        match &*self.kind {
            Kind::Chars(chars) => Ok(chars.decode(ids)),
            Kind::Bytes => Ok(bytes::decode(ids)),
            Kind::Library(library) => library.decode(ids),
        }
    }

    /// Decodes a sequence that arrives token by token.
    pub fn decode_stream(&self) -> DecodeStream<'_> {
        DecodeStream::new(self)
    }

    /// Number of token ids; every id is below it.
    pub fn vocab_size(&self) -> usize {
        match &*self.kind {
            Kind::Chars(chars) => chars.vocab_size(),
            Kind::Bytes => bytes::VOCAB_SIZE,
            Kind::Library(library) => library.vocab_size(),
        }
    }

    /// The id of `token` as it is written in the vocabulary.
    pub fn id_of(&self, token: &str) -> Option<u32> {
        match &*self.kind {
            Kind::Chars(chars) => chars.id_of(token),
            Kind::Bytes => bytes::id_of(token),
            Kind::Library(library) => library.id_of(token),
        }
    }

    /// How the token `id` is written in the vocabulary: `##ing`, not `ing`.
    pub fn token(&self, id: u32) -> Option<String> {
        match &*self.kind {
            Kind::Chars(chars) => chars.token(id),
            Kind::Bytes => bytes::token(id),
            Kind::Library(library) => library.token(id),
        }
    }

    /// The token that ends a text, if the vocabulary has one of the usual names.
    pub fn end_of_text(&self) -> Option<u32> {
        const NAMES: [&str; 6] = [
            "<|endoftext|>",
            "<|end_of_text|>",
            "</s>",
            "<eos>",
            "[EOS]",
            "[SEP]",
        ];
        match &*self.kind {
            Kind::Library(library) => NAMES.iter().find_map(|name| library.id_of(name)),
            Kind::Chars(_) | Kind::Bytes => None,
        }
    }

    /// Hash of the `tokenizer.json`: equal tokenizers give equal tokens.
    pub fn fingerprint(&self) -> blake3::Hash {
        self.fingerprint
    }

    /// The text of its `tokenizer.json`.
    pub fn to_json(&self) -> &str {
        &self.json
    }

    /// Writes its `tokenizer.json` to `path`, whole or not at all.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        crate::atomic::write(path, self.json.as_bytes()).map_err(|cause| Error::write(path, cause))
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &*self.kind {
            Kind::Chars(_) => "chars",
            Kind::Bytes => "bytes",
            Kind::Library(_) => "file",
        };
        f.debug_struct("Tokenizer")
            .field("kind", &kind)
            .field("vocab_size", &self.vocab_size())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Tokenizer {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Tokenizer {}
