//! The `[data]` table of a text run.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where text comes from and how it is cut into tokens and samples.
///
/// Valid by construction: `seq_len` is at least 1, `val_fraction` is in
/// `[0, 1)`, and there is a `path`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawTextDataConfig")]
#[schemars(with = "RawTextDataConfig")]
pub struct TextDataConfig {
    path: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    val: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text_column: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_column: Option<String>,
    tokenizer: TokenizerConfig,
    seq_len: usize,
    val_fraction: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<PathBuf>,
}

/// Where text comes from and how it is cut into tokens and samples
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TextDataConfig")]
struct RawTextDataConfig {
    /// Training text: a file, a folder, a pattern such as `texts/*.txt`, `embedded` for the text compiled into the program, or, with the feature `hub`, a set such as `hub:roneneldan/TinyStories`
    path: PathBuf,
    /// Validation text; without it the last `val_fraction` of `path` is held out
    #[serde(default)]
    val: Option<PathBuf>,
    /// Test text, read only when asked for
    #[serde(default)]
    test: Option<PathBuf>,
    /// What the files hold; without it their extension says so
    #[serde(default)]
    format: Option<Format>,
    /// Column or key that holds the text: `text` by default, in a `.tab` file its first column of text
    #[serde(default)]
    text_column: Option<String>,
    /// Column or key that holds the class: `label` by default, in a `.tab` file its class column
    #[serde(default)]
    label_column: Option<String>,
    /// How text becomes tokens
    #[serde(default)]
    tokenizer: TokenizerConfig,
    /// Tokens a sample: the window of a language model; the most that a classifier reads of a text
    #[serde(default = "default_seq_len")]
    #[schemars(range(min = 1))]
    seq_len: usize,
    /// Part of `path` held out for validation if there is no `val`: the end of a text, examples drawn by the seed
    #[serde(default = "default_val_fraction")]
    #[schemars(range(min = 0.0, max = 1.0))]
    val_fraction: f64,
    /// Folder for encoded text; by default `train` in the user's cache folder
    #[serde(default)]
    cache: Option<PathBuf>,
}

fn default_seq_len() -> usize {
    256
}

fn default_val_fraction() -> f64 {
    0.1
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One document, all of it text
    Text,
    /// One JSON object a line
    Jsonl,
    /// A header and comma-separated rows
    Csv,
    /// A header and tab-separated rows
    Tsv,
    /// An Orange table: names, types, flags, then tab-separated rows
    Tab,
}

impl Format {
    /// The format that the extension of `path` stands for; text if it is unknown.
    pub fn of(path: &Path) -> Self {
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        match extension.to_str() {
            Some("jsonl" | "ndjson") => Self::Jsonl,
            Some("csv") => Self::Csv,
            Some("tsv") => Self::Tsv,
            Some("tab") => Self::Tab,
            _ => Self::Text,
        }
    }
}

/// How text becomes tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenizerConfig {
    /// One token a character that the training text has
    #[default]
    Chars,
    /// One token a byte of UTF-8: 256 tokens, no text is foreign
    Bytes,
    /// A `tokenizer.json` as Hugging Face's tools write it
    File(PathBuf),
    /// A tokenizer learnt from the training text before the run
    Train(TokenizerTraining),
    /// That of the model which the run starts from
    Init,
}

/// What kind of tokenizer to learn, and how large.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenizerTraining {
    /// The algorithm
    pub kind: TokenizerKind,
    /// Tokens at most
    #[schemars(range(min = 1))]
    pub vocab_size: usize,
    /// Whether upper case is read as lower case
    #[serde(default)]
    pub lowercase: bool,
}

/// An algorithm that learns a vocabulary from text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenizerKind {
    /// Byte-pair encoding over bytes, as in GPT-2 (Sennrich et al. 2016 <https://arxiv.org/abs/1508.07909>)
    Bpe,
    /// WordPiece, as in BERT (Schuster and Nakajima 2012)
    Wordpiece,
    /// A unigram language model over pieces, as in SentencePiece (Kudo 2018 <https://arxiv.org/abs/1804.10959>)
    Unigram,
    /// The most frequent words
    Words,
}

/// A `[data]` table that makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No place to read from.
    #[error("path is empty; name a file, a folder or a pattern, or `embedded`")]
    EmptyPath,
    /// A window without tokens.
    #[error("seq_len = 0; a sample needs at least one token")]
    ZeroSeqLen,
    /// A window whose positions 32 bits cannot count.
    #[error("seq_len = {seq_len} is more than {}", TextDataConfig::MAX_SEQ_LEN)]
    HugeSeqLen {
        /// The length asked for.
        seq_len: usize,
    },
    /// A fraction that leaves nothing to train on.
    #[error("val_fraction = {val_fraction} is not in [0, 1)")]
    ValFractionOutOfRange {
        /// The fraction asked for.
        val_fraction: f64,
    },
    /// A tokenizer without tokens.
    #[error(
        "tokenizer.train.vocab_size = {vocab_size} is not between 1 and {}",
        TokenizerTraining::MAX_VOCAB_SIZE
    )]
    VocabSize {
        /// The size asked for.
        vocab_size: usize,
    },
}

impl TryFrom<RawTextDataConfig> for TextDataConfig {
    type Error = ConfigError;

    fn try_from(raw: RawTextDataConfig) -> Result<Self, ConfigError> {
        let RawTextDataConfig {
            path,
            val,
            test,
            format,
            text_column,
            label_column,
            tokenizer,
            seq_len,
            val_fraction,
            cache,
        } = raw;
        if [Some(&path), val.as_ref(), test.as_ref()]
            .into_iter()
            .flatten()
            .any(|p| p.as_os_str().is_empty())
        {
            return Err(ConfigError::EmptyPath);
        }
        if seq_len == 0 {
            return Err(ConfigError::ZeroSeqLen);
        }
        if seq_len > Self::MAX_SEQ_LEN {
            return Err(ConfigError::HugeSeqLen { seq_len });
        }
        if !(0.0..1.0).contains(&val_fraction) {
            return Err(ConfigError::ValFractionOutOfRange { val_fraction });
        }
        if let TokenizerConfig::Train(training) = &tokenizer {
            training.check()?;
        }
        Ok(Self {
            path,
            val,
            test,
            format,
            text_column,
            label_column,
            tokenizer,
            seq_len,
            val_fraction,
            cache,
        })
    }
}

impl TokenizerTraining {
    /// The largest vocabulary that is accepted.
    pub const MAX_VOCAB_SIZE: usize = 1 << 24;

    fn check(&self) -> Result<(), ConfigError> {
        let vocab_size = self.vocab_size;
        if !(1..=Self::MAX_VOCAB_SIZE).contains(&vocab_size) {
            return Err(ConfigError::VocabSize { vocab_size });
        }
        Ok(())
    }
}

impl TextDataConfig {
    /// The `path` that stands for the text compiled into the program.
    pub const EMBEDDED: &str = "embedded";

    /// The longest sample that is accepted.
    pub const MAX_SEQ_LEN: usize = 1 << 24;

    /// Training text.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Validation text, if it is not a part of [`path`](Self::path).
    pub fn val(&self) -> Option<&Path> {
        self.val.as_deref()
    }

    /// Test text.
    pub fn test(&self) -> Option<&Path> {
        self.test.as_deref()
    }

    /// The format of every file, unless their extensions say so.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// Column that holds the text.
    pub fn text_column(&self) -> Option<&str> {
        self.text_column.as_deref()
    }

    /// Column that holds the class.
    pub fn label_column(&self) -> Option<&str> {
        self.label_column.as_deref()
    }

    /// How text becomes tokens.
    pub fn tokenizer(&self) -> &TokenizerConfig {
        &self.tokenizer
    }

    /// Tokens a sample.
    pub fn seq_len(&self) -> usize {
        self.seq_len
    }

    /// Part of the training text that is held out.
    pub fn val_fraction(&self) -> f64 {
        self.val_fraction
    }

    /// Folder for encoded text.
    pub fn cache(&self) -> Option<&Path> {
        self.cache.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parse(value: Value) -> Result<TextDataConfig, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_path_is_enough() -> Result<(), String> {
        let config = parse(json!({"path": "input.txt"}))?;
        assert_eq!(config.tokenizer(), &TokenizerConfig::Chars);
        assert_eq!((config.seq_len(), config.val_fraction()), (256, 0.1));
        Ok(())
    }

    #[test]
    fn the_resolved_table_says_the_same() -> Result<(), String> {
        for tokenizer in [
            json!("chars"),
            json!("bytes"),
            json!({"file": "tokenizer.json"}),
            json!({"train": {"kind": "wordpiece", "vocab_size": 800, "lowercase": true}}),
        ] {
            let config = parse(json!({
                "path": "a", "val": "b", "test": "c", "format": "csv", "text_column": "t",
                "label_column": "l", "tokenizer": tokenizer, "seq_len": 3, "val_fraction": 0.0, "cache": "d",
            }))?;
            let resolved = serde_json::to_value(&config).map_err(|error| error.to_string())?;
            assert_eq!(parse(resolved)?, config);
        }
        Ok(())
    }

    #[test]
    fn nonsense_is_refused_with_key_and_value() {
        for (table, message) in [
            (json!({}), "missing field `path`"),
            (json!({"path": ""}), "path is empty"),
            (json!({"path": "a", "seq_len": 0}), "seq_len = 0"),
            (
                json!({"path": "a", "seq_len": u64::MAX}),
                "seq_len = 18446744073709551615",
            ),
            (
                json!({"path": "a", "seq_len": -1}),
                "invalid value: integer `-1`",
            ),
            (
                json!({"path": "a", "val_fraction": 1.0}),
                "val_fraction = 1 ",
            ),
            (
                json!({"path": "a", "val_fraction": -0.5}),
                "val_fraction = -0.5 ",
            ),
            (json!({"path": "a", "seqlen": 4}), "unknown field `seqlen`"),
            (
                json!({"path": "a", "format": "xml"}),
                "unknown variant `xml`",
            ),
            (
                json!({"path": "a", "tokenizer": "char"}),
                "unknown variant `char`",
            ),
            (
                json!({"path": "a", "tokenizer": {"train": {"kind": "bpe", "vocab_size": 0}}}),
                "vocab_size = 0",
            ),
        ] {
            let error = parse(table).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn extensions_name_formats() {
        for (path, format) in [
            ("a.JSONL", Format::Jsonl),
            ("a.csv", Format::Csv),
            ("a.b.tsv", Format::Tsv),
            ("train.tab", Format::Tab),
            ("input.txt", Format::Text),
            ("README", Format::Text),
        ] {
            assert_eq!(Format::of(Path::new(path)), format, "{path}");
        }
    }
}
