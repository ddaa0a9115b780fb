//! Encoding text that is larger than memory.

use super::source::Piece;
use super::tokenizer::{Start, Tokenizer};
use crate::{Place, Result};

/// Encodes a text piece by piece, to the tokens that the whole would have.
///
/// Characters and bytes are encoded as they come. Any other tokenizer may look
/// around: a blank joins the next word, a merge crosses what looks like a good
/// place to cut. So a chunk is encoded with `context` bytes on both sides, and a
/// token belongs to the chunk in which it starts. Before a cut is made, its
/// surroundings are encoded once more with less text on the left and more on the
/// right; only if that gives the same tokens around the cut is the cut sound.
/// If not (a word of many kilobytes, say), the chunk grows until it is, in the
/// worst case to the whole document.
pub(super) struct Encoder<'a, F> {
    tokenizer: &'a Tokenizer,
    sizes: Sizes,
    sink: F,
    /// Text from `context` before `done`.
    buffer: String,
    /// Where `buffer` starts.
    at: Option<Place>,
    /// The bytes of `buffer` whose tokens are out.
    done: usize,
    /// Bytes to encode at once; grows where no cut is found.
    chunk: usize,
}

/// How much is encoded at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Bytes between two cuts.
    pub(super) chunk: usize,
    /// Bytes around a cut that have a say in it.
    pub(super) context: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            chunk: 128 << 10,
            context: 2 << 10,
        }
    }
}

impl<'a, F: FnMut(&[u32]) -> Result<()>> Encoder<'a, F> {
    /// Encodes with `tokenizer` into `sink`.
    pub(super) fn new(tokenizer: &'a Tokenizer, sizes: Sizes, sink: F) -> Self {
        let chunk = sizes.chunk;
        Self {
            tokenizer,
            sizes,
            sink,
            buffer: String::new(),
            at: None,
            done: 0,
            chunk,
        }
    }

    /// Encodes the next piece; one that starts a document ends the one before.
    pub(super) fn push(&mut self, piece: &Piece) -> Result<()> {
        if piece.starts {
            self.end_document()?;
        }
        if self.tokenizer.is_local() {
            let ids = self
                .tokenizer
                .encode(&piece.text)
                .map_err(|e| e.located(&piece.at))?;
            return (self.sink)(&ids);
        }
        self.at.get_or_insert_with(|| piece.at.clone());
        self.buffer.push_str(&piece.text);
        while self.buffer.len() >= self.done + self.chunk + 3 * self.sizes.context {
            self.cut()?;
        }
        Ok(())
    }

    /// Encodes what is left of the document.
    pub(super) fn end_document(&mut self) -> Result<()> {
        if self.done < self.buffer.len() {
            let starts = self.starts(0, self.buffer.len())?;
            self.emit(&starts, self.buffer.len())?;
        }
        self.buffer.clear();
        self.at = None;
        self.done = 0;
        self.chunk = self.sizes.chunk;
        Ok(())
    }

    /// Adds a token between documents.
    pub(super) fn push_token(&mut self, id: u32) -> Result<()> {
        self.end_document()?;
        (self.sink)(&[id])
    }

    /// Emits one chunk, or makes the chunk larger.
    fn cut(&mut self) -> Result<()> {
        let context = self.sizes.context;
        let cut = self.line_start(self.done + self.chunk);
        let left = self.boundary(cut.saturating_sub(context));
        let wide = self.starts(0, self.boundary(cut + context))?;
        let near = self.starts(left, self.boundary(cut + 2 * context))?;

        let (from, to) = (cut.saturating_sub(context / 2), cut + context / 2);
        let around = |starts: &[Start]| -> Vec<Start> {
            starts
                .iter()
                .copied()
                .filter(|start| (from..to).contains(&start.byte))
                .collect()
        };
        if around(&wide) != around(&near) {
            self.chunk *= 2;
            return Ok(());
        }
        self.emit(&wide, cut)?;
        if let Some(at) = &mut self.at {
            *at = at.advance(&self.buffer, left);
        }
        self.buffer.drain(..left);
        self.done = cut - left;
        self.chunk = self.sizes.chunk;
        Ok(())
    }

    /// Hands over the tokens that start between `done` and `end`.
    fn emit(&mut self, starts: &[Start], end: usize) -> Result<()> {
        let ends = end == self.buffer.len();
        let ids: Vec<u32> = starts
            .iter()
            .filter(|start| start.byte >= self.done && (ends || start.byte < end))
            .map(|start| start.id)
            .collect();
        (self.sink)(&ids)
    }

    /// The tokens of `buffer[from..to]`, with places relative to `buffer`.
    fn starts(&self, from: usize, to: usize) -> Result<Vec<Start>> {
        let mut starts = self
            .tokenizer
            .encode_starts(&self.buffer[from..to])
            .map_err(|error| match &self.at {
                Some(at) => error.located(&at.advance(&self.buffer, from)),
                None => error,
            })?;
        for start in &mut starts {
            start.byte += from;
        }
        Ok(starts)
    }

    /// The start of the line that holds byte `at`, if it is near; else a character's.
    fn line_start(&self, at: usize) -> usize {
        let at = self.boundary(at);
        let from = self.boundary(self.done.max(at - (at - self.done) / 2));
        self.buffer[from..at]
            .rfind('\n')
            .map_or(at, |newline| from + newline + 1)
    }

    /// The start of the character that byte `at` is part of.
    fn boundary(&self, at: usize) -> usize {
        (0..=at.min(self.buffer.len()))
            .rev()
            .find(|&at| self.buffer.is_char_boundary(at))
            .unwrap_or(0)
    }
}
