//! Text for a language model: one long sequence, read in windows.

use std::path::Path;
use std::sync::Arc;

use attn_core::Pattern;

use super::cache::{self, TokenFile, TokenWriter};
use super::encoder::{Encoder, Sizes};
use super::join::Joined;
use super::open::{choose_tokenizer, source};
use super::source::{Reader, Source};
use super::tokenizer::Unknown;
use super::tokens::Tokens;
use super::{TextDataConfig, Tokenizer};
use crate::{Batch, Error, Open, Result, Sample, Samples, order};

/// Text to learn to continue.
///
/// Documents are put one after the other, with the tokenizer's end-of-text token
/// between them, or a line end if it has none. Without a text of its own,
/// validation takes the last part of the sequence, as nanoGPT does.
///
/// A model may see every part of the training text at every phase: epoch `e`
/// reads windows of `seq_len` tokens, one after the other from a start in
/// `[0, seq_len)` that belongs to `e`, visited in shuffled order. Validation
/// windows never move; each predicted token is predicted once, and the last
/// window may be shorter.
#[derive(Debug)]
pub struct LanguageData {
    config: TextDataConfig,
    tokenizer: Tokenizer,
    fingerprint: blake3::Hash,
    train: Arc<Windows>,
    val: Option<Arc<Windows>>,
}

impl LanguageData {
    /// Reads and encodes the text, or finds it already encoded.
    ///
    /// # Errors
    ///
    /// If the text cannot be read, cannot be encoded, or has fewer tokens than
    /// one window in a split.
    pub fn open(config: &TextDataConfig, open: &Open<'_>) -> Result<Self> {
        let text = source(config.path(), config, open)?;
        let tokenizer = choose_tokenizer(config, open, &text, Unknown::Refused)?;
        let content = text.fingerprint()?;
        let mut fingerprint = blake3::Hasher::new();
        fingerprint.update(content.as_bytes());

        let tokens = encode(&text, &content, &tokenizer, config.cache())?;
        let end = match config.val() {
            Some(_) => tokens.len(),
            None => (tokens.len() as f64 * (1.0 - config.val_fraction())) as u64,
        };
        let windows = Windows {
            tokens,
            start: 0,
            end,
            seq_len: config.seq_len(),
            phase: Some(open.seed),
        };
        let train = windows.checked(&text, "training")?;
        let val = match config.val() {
            Some(path) => {
                let text = source(path, config, open)?;
                let content = text.fingerprint()?;
                fingerprint.update(content.as_bytes());
                Some(fixed(&text, &content, &tokenizer, config, "validation")?)
            }
            None if config.val_fraction() == 0.0 => None,
            None => {
                let (tokens, len) = (Arc::clone(&train.tokens), train.tokens.len());
                let windows = Windows {
                    tokens,
                    start: end,
                    end: len,
                    seq_len: config.seq_len(),
                    phase: None,
                };
                Some(windows.checked(&text, "validation")?)
            }
        };
        let fingerprint = fingerprint.finalize();
        Ok(Self {
            config: config.clone(),
            tokenizer,
            fingerprint,
            train,
            val,
        })
    }

    /// How the text was encoded.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Hash of the training and validation text as it is in its files.
    pub fn fingerprint(&self) -> blake3::Hash {
        self.fingerprint
    }

    /// Windows to train on.
    pub fn train(&self) -> Arc<dyn Samples> {
        Arc::clone(&self.train) as _
    }

    /// Windows to validate on, if anything is held out.
    pub fn val(&self) -> Option<Arc<dyn Samples>> {
        self.val.as_ref().map(|val| Arc::clone(val) as _)
    }

    /// Windows to test on, if the configuration names a test text.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn test(&self) -> Result<Option<Arc<dyn Samples>>> {
        let Some(path) = self.config.test() else {
            return Ok(None);
        };
        let text = Source::open(path, &self.config)?;
        let content = text.fingerprint()?;
        Ok(Some(fixed(
            &text,
            &content,
            &self.tokenizer,
            &self.config,
            "test",
        )?))
    }

    /// Tokens in the training part.
    pub fn n_train_tokens(&self) -> u64 {
        self.train.n_tokens()
    }

    /// Tokens in the validation part.
    pub fn n_val_tokens(&self) -> u64 {
        self.val.as_ref().map_or(0, |val| val.n_tokens())
    }
}

/// Windows over all of `text` that never move.
fn fixed(
    text: &Source,
    content: &blake3::Hash,
    tokenizer: &Tokenizer,
    config: &TextDataConfig,
    split: &'static str,
) -> Result<Arc<Windows>> {
    let tokens = encode(text, content, tokenizer, config.cache())?;
    let end = tokens.len();
    Windows {
        tokens,
        start: 0,
        end,
        seq_len: config.seq_len(),
        phase: None,
    }
    .checked(text, split)
}

/// A part of a token sequence, cut into windows.
struct Windows {
    tokens: Arc<Tokens>,
    start: u64,
    end: u64,
    seq_len: usize,
    /// Seed of the phases, if windows start elsewhere in each epoch.
    phase: Option<u64>,
}

impl Windows {
    fn checked(self, text: &Source, split: &'static str) -> Result<Arc<Self>> {
        let found = self.n_tokens();
        if found <= self.seq_len as u64 {
            let (at, seq_len) = (text.at().clone(), self.seq_len);
            return Err(Error::TooShort {
                at,
                split,
                found,
                seq_len,
            });
        }
        Ok(Arc::new(self))
    }

    fn n_tokens(&self) -> u64 {
        self.end - self.start
    }

    /// The largest phase for which a whole window is left.
    fn max_phase(&self) -> u64 {
        let seq_len = self.seq_len as u64;
        (seq_len - 1).min(self.n_tokens() - 1 - seq_len)
    }

    /// Where the window of `sample` starts, and how many tokens it predicts.
    fn window(&self, sample: Sample) -> (u64, usize) {
        let seq_len = self.seq_len as u64;
        let phase = match self.phase {
            Some(seed) => order::draw("phase", seed, sample.epoch, self.max_phase() + 1),
            None => 0,
        };
        let start = self.start + phase + sample.index * seq_len;
        let targets = seq_len.min(self.end - 1 - start);
        (start, targets as usize)
    }
}

impl Samples for Windows {
    fn len(&self) -> u64 {
        let seq_len = self.seq_len as u64;
        match self.phase {
            // The same in every epoch, so that a position names an epoch.
            Some(_) => (self.n_tokens() - 1 - self.max_phase()) / seq_len,
            None => (self.n_tokens() - 1).div_ceil(seq_len),
        }
    }

    fn pack(&self, samples: &[Sample], pattern: &Pattern) -> Result<Batch> {
        let positions = samples.len().saturating_mul(self.seq_len);
        if u32::try_from(positions).is_err() {
            return Err(Error::BatchTooLarge { positions });
        }
        let mut window = Vec::with_capacity(self.seq_len + 1);
        let mut tokens = Vec::with_capacity(positions);
        let mut targets = Vec::with_capacity(positions);
        let mut ends = Vec::with_capacity(samples.len());
        for &sample in samples {
            let (start, n_targets) = self.window(sample);
            window.clear();
            self.tokens.read(start, n_targets + 1, &mut window)?;
            tokens.extend_from_slice(&window[..n_targets]);
            targets.extend_from_slice(&window[1..]);
            ends.push(tokens.len());
        }
        Batch::of_tokens(tokens, &ends, targets, pattern)
    }
}

impl std::fmt::Debug for Windows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Windows")
            .field("tokens", &self.n_tokens())
            .field("seq_len", &self.seq_len)
            .finish_non_exhaustive()
    }
}

/// The tokens of `text`, whose hash is `content`: from the cache, or encoded and
/// put there.
///
/// Text that is in memory anyway stays there; so does text for which no cache
/// can be written, with a warning.
fn encode(
    text: &Source,
    content: &blake3::Hash,
    tokenizer: &Tokenizer,
    folder: Option<&Path>,
) -> Result<Arc<Tokens>> {
    if text.is_embedded() {
        return encode_in_memory(text, tokenizer);
    }
    let key = {
        let mut hasher = blake3::Hasher::new_derive_key("attention data token cache 1");
        hasher.update(content.as_bytes());
        hasher.update(tokenizer.fingerprint().as_bytes());
        hasher.finalize()
    };
    let folder = folder.map_or_else(cache::default_folder, Path::to_path_buf);
    let path = folder.join(cache::file_name(&key));
    if path.exists() {
        match TokenFile::open(&path, &key) {
            Ok(file) => return Ok(Arc::new(Tokens::File(file))),
            Err(error) => tracing::warn!("{error}"),
        }
    }
    let unwritable = |cause| Error::write(&path, cause);
    match encode_to_file(text, tokenizer, &path, &key) {
        Ok(file) => Ok(Arc::new(Tokens::File(file))),
        Err(CacheError::Data(error)) => Err(error),
        Err(CacheError::Write(cause)) => {
            tracing::warn!("{}; going on without a token cache", unwritable(cause));
            encode_in_memory(text, tokenizer)
        }
    }
}

/// Why a cache was not made: it matters which side failed.
enum CacheError {
    Data(Error),
    Write(std::io::Error),
}

fn encode_to_file(
    text: &Source,
    tokenizer: &Tokenizer,
    path: &Path,
    key: &blake3::Hash,
) -> Result<TokenFile, CacheError> {
    let mut writer =
        TokenWriter::create(path, tokenizer.vocab_size()).map_err(CacheError::Write)?;
    let mut unwritable = None;
    let encoded = encode_into(text, tokenizer, Sizes::default(), |ids| {
        writer.write(ids).map_err(|cause| {
            // The reader stops at any error; this one is told apart below.
            let stop = Error::write(path, std::io::Error::from(cause.kind()));
            unwritable = Some(cause);
            stop
        })
    });
    match (unwritable, encoded) {
        (Some(cause), _) => Err(CacheError::Write(cause)),
        (None, Err(error)) => Err(CacheError::Data(error)),
        (None, Ok(())) => writer.finish(key).map_err(CacheError::Write),
    }
}

fn encode_in_memory(text: &Source, tokenizer: &Tokenizer) -> Result<Arc<Tokens>> {
    let mut tokens = Vec::new();
    encode_into(text, tokenizer, Sizes::default(), |ids| {
        tokens.extend_from_slice(ids);
        Ok(())
    })?;
    Ok(Arc::new(Tokens::Memory(tokens)))
}

/// Encodes all documents of `text` into one sequence.
pub(super) fn encode_into(
    text: &Source,
    tokenizer: &Tokenizer,
    sizes: Sizes,
    sink: impl FnMut(&[u32]) -> Result<()>,
) -> Result<()> {
    let end_of_text = tokenizer.end_of_text();
    let mut pieces: Box<dyn Reader> = match end_of_text {
        Some(_) => Box::new(text.read()),
        None => Box::new(Joined::new(text.read())),
    };
    let mut encoder = Encoder::new(tokenizer, sizes, sink);
    let mut empty = true;
    while let Some(piece) = pieces.next()? {
        if let (true, false, Some(id)) = (piece.starts, empty, end_of_text) {
            encoder.push_token(id)?;
        }
        empty &= piece.text.is_empty();
        encoder.push(&piece)?;
    }
    encoder.end_document()?;
    if empty {
        return Err(Error::Empty {
            at: text.at().clone(),
        });
    }
    Ok(())
}
