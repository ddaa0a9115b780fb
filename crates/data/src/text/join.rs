//! Documents put together to one text.

use super::source::{Piece, Pieces, Reader};
use crate::Result;

/// The pieces of a source, with a line end after every document that lacks one
/// and is not the last.
pub(super) struct Joined<'a> {
    pieces: Pieces<'a>,
    /// A piece that waits for the line end before it.
    waiting: Option<Piece>,
    open_line: bool,
}

impl<'a> Joined<'a> {
    pub(super) fn new(pieces: Pieces<'a>) -> Self {
        Self {
            pieces,
            waiting: None,
            open_line: false,
        }
    }
}

impl Reader for Joined<'_> {
    fn next(&mut self) -> Result<Option<Piece>> {
        let piece = match self.waiting.take() {
            Some(piece) => Some(piece),
            None => self.pieces.next()?,
        };
        let Some(piece) = piece else {
            return Ok(None);
        };
        if piece.starts && self.open_line {
            self.open_line = false;
            let at = piece.at.clone();
            self.waiting = Some(piece);
            return Ok(Some(Piece {
                text: "\n".into(),
                label: None,
                starts: false,
                at,
            }));
        }
        if !piece.text.is_empty() {
            self.open_line = !piece.text.ends_with('\n');
        }
        Ok(Some(piece))
    }
}
