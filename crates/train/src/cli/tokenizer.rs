//! `train tokenizer train` and `train tokenizer encode`

use std::num::NonZeroUsize;
use std::path::PathBuf;

use data::text::{Source, Tokenizer, TokenizerKind, TokenizerTraining, tokenizer};
use serde_json::json;

use super::{console, inputs};
use crate::error::Result;

/// Learn a tokenizer from text, or look at what one makes of a text
#[derive(Debug, clap::Args)]
pub(super) struct TokenizerArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Train(TrainArgs),
    Encode(EncodeArgs),
}

/// Learn a vocabulary and write it as a Hugging Face `tokenizer.json`
#[derive(Debug, clap::Args)]
struct TrainArgs {
    /// The algorithm
    #[arg(long, value_enum)]
    kind: Kind,

    /// Tokens at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=TokenizerTraining::MAX_VOCAB_SIZE as i64))]
    vocab_size: u32,

    /// Read upper case as lower case
    #[arg(long)]
    lowercase: bool,

    /// File to write
    #[arg(long, value_name = "FILE", default_value = "tokenizer.json")]
    out: PathBuf,

    /// Text to learn from: files, folders, patterns such as 'texts/*.txt'; of tables and
    /// JSON lines the column `text`
    #[arg(value_name = "FILES", required = true)]
    files: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// Byte-pair encoding over bytes, as in GPT-2
    Bpe,
    /// Pieces of words, as in BERT
    Wordpiece,
    /// A unigram language model over pieces, as in SentencePiece
    Unigram,
    /// The most frequent words
    Words,
}

/// Print the tokens of texts, one JSON object a line
#[derive(Debug, clap::Args)]
struct EncodeArgs {
    /// The `tokenizer.json`
    #[arg(value_name = "TOKENIZER")]
    tokenizer: PathBuf,

    /// As a classifier or an encoder reads a text: with the tokens that the tokenizer puts
    /// around it, and cut to N of them in all
    #[arg(long, value_name = "N")]
    max_len: Option<NonZeroUsize>,

    /// Texts; a file is read line by line, and so is standard input, `-`
    #[arg(value_name = "TEXT", default_value = "-")]
    texts: Vec<String>,
}

pub(super) fn run(args: TokenizerArgs) -> Result<()> {
    match args.command {
        Command::Train(args) => train(args),
        Command::Encode(args) => encode(args),
    }
}

fn train(args: TrainArgs) -> Result<()> {
    let kind = match args.kind {
        Kind::Bpe => TokenizerKind::Bpe,
        Kind::Wordpiece => TokenizerKind::Wordpiece,
        Kind::Unigram => TokenizerKind::Unigram,
        Kind::Words => TokenizerKind::Words,
    };
    let training = TokenizerTraining {
        kind,
        vocab_size: args.vocab_size as usize,
        lowercase: args.lowercase,
    };
    let learnt = tokenizer::train(&training, &Source::open_all(&args.files)?)?;
    learnt.save(&args.out)?;
    let line = json!({ "out": args.out.display().to_string(), "vocab_size": learnt.vocab_size() });
    console::print(&format!("{line}\n"))
}

fn encode(args: EncodeArgs) -> Result<()> {
    let tokenizer = Tokenizer::from_file(&args.tokenizer)?;
    inputs::each(&args.texts, |text| {
        let ids = match args.max_len {
            None => tokenizer.encode(text)?,
            Some(max_len) => tokenizer.encode_sequence(text, max_len.get())?,
        };
        let line = json!({ "text": text, "ids": ids });
        console::print(&format!("{line}\n"))
    })
}
