//! A language model writes.

mod sampler;
mod stop;
mod window;

use std::fmt;

use data::text::Tokenizer;
use models::text::CausalLm;

use crate::error::{Error, Result};
use stop::{Passed, StopFilter};

pub(crate) use window::Reader;

pub use sampler::{Sampler, SamplerOptions};

/// What to write.
#[derive(Debug, Clone)]
pub struct Request {
    /// The text to go on from. If it is empty, the model is given its end-of-text token,
    /// behind which texts begin, or else a line break.
    pub prompt: String,
    /// Most tokens to write.
    pub max_tokens: usize,
    /// Strings that end the text when they turn up in it; they are no part of it.
    pub stop: Vec<String>,
    /// How tokens are chosen.
    pub sampler: Sampler,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The text, without the prompt.
    pub text: String,
    /// The tokens that were chosen, those of a stop string included.
    pub tokens: Vec<u32>,
    /// Why there is no more.
    pub end: End,
}

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As many tokens as were asked for.
    Length,
    /// A stop string turned up.
    Stop,
    /// The model chose the token that ends a text.
    EndOfText,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "length",
            Self::Stop => "stop string",
            Self::EndOfText => "end of text",
        })
    }
}

/// Lets `model` go on from a prompt, token by token; `show` gets every piece of text as
/// soon as it is certain, and ends the writing with an error of its own.
///
/// The text is a function of the weights and the request alone. Keys and values of what
/// was read are cached. A text longer than the model's `max_seq_len` is read through a
/// window, which loses its older half whenever it is full.
///
/// # Errors
///
/// A prompt that the tokenizer cannot encode, an empty one with a tokenizer that has
/// neither an end-of-text token nor a line break, a tokenizer of another model, weights
/// that are not finite, and what `show` returns.
pub fn generate(
    model: &CausalLm,
    tokenizer: &Tokenizer,
    request: &Request,
    mut show: impl FnMut(&str) -> Result<()>,
) -> Result<Written> {
    let mut text = prompt_tokens(tokenizer, &request.prompt)?;
    let n_prompt = text.len();
    let end_of_text = tokenizer.end_of_text();
    let mut reader = Reader::new(model);
    let mut decoder = tokenizer.decode_stream();
    let mut filter = StopFilter::new(&request.stop);
    let mut written = String::new();
    let mut end = End::Length;
    while text.len() - n_prompt < request.max_tokens {
        let logits = reader.read(&text)?;
        let token = request.sampler.choose(&logits, text.len() as u64)?;
        text.push(token);
        if Some(token) == end_of_text {
            end = End::EndOfText;
            break;
        }
        let Passed {
            text: piece,
            stopped,
        } = filter.push(&decoder.push(token)?);
        written.push_str(&piece);
        show(&piece)?;
        if stopped {
            end = End::Stop;
            break;
        }
    }
    if end != End::Stop {
        let Passed {
            text: mut rest,
            stopped,
        } = filter.push(&decoder.finish()?);
        if stopped {
            end = End::Stop;
        } else {
            rest.push_str(&filter.finish());
        }
        written.push_str(&rest);
        show(&rest)?;
    }
    Ok(Written {
        text: written,
        tokens: text.split_off(n_prompt),
        end,
    })
}

/// The tokens of a prompt, at least one.
fn prompt_tokens(tokenizer: &Tokenizer, prompt: &str) -> Result<Vec<u32>> {
    let tokens = tokenizer
        .encode(prompt)
        .map_err(|error| Error::Usage(format!("the prompt cannot be read: {error}")))?;
    if !tokens.is_empty() {
        return Ok(tokens);
    }
    let newline = || {
        tokenizer
            .encode("\n")
            .ok()
            .filter(|tokens| !tokens.is_empty())
    };
    tokenizer
        .end_of_text()
        .map(|token| vec![token])
        .or_else(newline)
        .ok_or_else(|| {
            Error::Usage(
                "the prompt is empty, and the tokenizer has neither an end-of-text token nor a \
             line break to begin behind; write a prompt"
                    .into(),
            )
        })
}

#[cfg(test)]
mod tests;
