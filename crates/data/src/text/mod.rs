//! Text: from files to batches of tokens.

mod cache;
mod classes;
mod config;
mod encoder;
mod join;
mod language;
mod open;
pub mod source;
pub mod tokenizer;
mod tokens;

pub use classes::ClassData;
pub use config::{
    ConfigError, Format, TextDataConfig, TokenizerConfig, TokenizerKind, TokenizerTraining,
};
pub use language::LanguageData;
pub use source::Source;
pub use tokenizer::Tokenizer;

/// What a JSON parser says, without the line and column at its end.
pub(crate) fn without_place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.rfind(" at line ") {
        Some(end) => message[..end].to_string(),
        None => message,
    }
}
