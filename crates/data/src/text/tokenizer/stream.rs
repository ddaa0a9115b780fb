//! Decoding while tokens are still arriving.

use super::Tokenizer;
use crate::Result;

/// Turns tokens into text as they arrive.
///
/// A character whose bytes are spread over several tokens is held back until it
/// is complete, so every piece is valid text and the pieces put together are
/// what [`Tokenizer::decode`] gives for all tokens at once.
///
/// ```
/// let tokenizer = data::text::Tokenizer::bytes();
/// let mut stream = tokenizer.decode_stream();
/// assert_eq!(stream.push(0xC3)?, "");
/// assert_eq!(stream.push(0xA9)?, "é");
/// # Ok::<(), data::Error>(())
/// ```
#[derive(Debug)]
pub struct DecodeStream<'a> {
    tokenizer: &'a Tokenizer,
    /// The last tokens: some that were written already, as context, then those held back.
    ids: Vec<u32>,
    /// How many of `ids` are context.
    context: usize,
}

/// Written tokens that are decoded again with new ones.
///
/// Decoders look back a little: whether a space goes between two pieces depends
/// on the one before.
const CONTEXT: usize = 8;

impl<'a> DecodeStream<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self {
            tokenizer,
            ids: Vec::new(),
            context: 0,
        }
    }

    /// The text that `id` completes; empty while a character is incomplete.
    ///
    /// # Errors
    ///
    /// If `id` is not below the tokenizer's `vocab_size`.
    pub fn push(&mut self, id: u32) -> Result<String> {
        self.ids.push(id);
        let text = self.pending()?;
        if text.ends_with('\u{FFFD}') {
            return Ok(String::new());
        }
        self.context = self.ids.len();
        if self.context > 2 * CONTEXT {
            self.ids.drain(..self.context - CONTEXT);
            self.context = CONTEXT;
        }
        Ok(text)
    }

    /// What is still held back, with U+FFFD for what never became a character.
    ///
    /// # Errors
    ///
    /// If the tokenizer fails.
    pub fn finish(mut self) -> Result<String> {
        let text = self.pending()?;
        self.ids.clear();
        Ok(text)
    }

    /// The text of the tokens that are not context.
    fn pending(&self) -> Result<String> {
        let before = self.tokenizer.decode(&self.ids[..self.context])?;
        let all = self.tokenizer.decode(&self.ids)?;
        let shared = before
            .bytes()
            .zip(all.bytes())
            .take_while(|(a, b)| a == b)
            .count();
        let start = (0..=shared)
            .rev()
            .find(|&at| all.is_char_boundary(at))
            .unwrap_or(0);
        Ok(all[start..].to_string())
    }
}
