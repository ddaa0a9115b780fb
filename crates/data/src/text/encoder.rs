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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tokenizer::{self, Unknown};
    use crate::text::{Source, TokenizerKind, TokenizerTraining};
    use proptest::prelude::*;
    use std::sync::OnceLock;

    const TRAINING_TEXT: &str =
        "the cat's 42 naïve cats, — and\n\n  the 東京 hats aaaa\tbb.\nThat ";

    /// Tokenizers that look around in different ways.
    fn tokenizers() -> &'static [(&'static str, Tokenizer)] {
        static ALL: OnceLock<Vec<(&str, Tokenizer)>> = OnceLock::new();
        ALL.get_or_init(|| {
            let source = Source::embedded(&TRAINING_TEXT.repeat(30));
            let learnt = |kind| {
                let training = TokenizerTraining {
                    kind,
                    vocab_size: 330,
                    lowercase: false,
                };
                tokenizer::train(&training, &source).expect("the text is sound")
            };
            let bpe = learnt(TokenizerKind::Bpe);
            // The whole text one word, so that merges may cross anything; and
            // blanks put before every text.
            let without_words = variant(&bpe, "/pre_tokenizer/use_regex", false);
            let with_blank = variant(&bpe, "/pre_tokenizer/add_prefix_space", true);
            vec![
                ("bytes", Tokenizer::bytes()),
                (
                    "chars",
                    Tokenizer::chars(TRAINING_TEXT.chars(), Unknown::Token),
                ),
                ("bpe", bpe),
                ("bpe without words", without_words),
                ("bpe with a blank", with_blank),
                ("wordpiece", learnt(TokenizerKind::Wordpiece)),
                ("unigram", learnt(TokenizerKind::Unigram)),
                ("words", learnt(TokenizerKind::Words)),
            ]
        })
    }

    fn variant(tokenizer: &Tokenizer, pointer: &str, setting: bool) -> Tokenizer {
        let mut value: serde_json::Value =
            serde_json::from_str(tokenizer.to_json()).expect("our own JSON");
        *value.pointer_mut(pointer).expect("a setting of BPE") = setting.into();
        Tokenizer::from_json(&value.to_string(), &Place::file("x")).expect("a sound variant")
    }

    fn encode(tokenizer: &Tokenizer, pieces: &[&str], sizes: Sizes) -> (Vec<u32>, usize) {
        let (mut ids, mut parts) = (Vec::new(), 0);
        let mut encoder = Encoder::new(tokenizer, sizes, |some| {
            ids.extend_from_slice(some);
            parts += 1;
            Ok(())
        });
        for (i, text) in pieces.iter().enumerate() {
            let (text, starts) = (text.to_string(), i == 0);
            let piece = Piece {
                text,
                label: None,
                starts,
                at: Place::file("x"),
            };
            encoder.push(&piece).expect("no character is foreign");
        }
        encoder.end_document().expect("no character is foreign");
        (ids, parts)
    }

    /// Words, runs without a break, and blanks of all kinds.
    fn text() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            8 => prop::sample::select(vec!["the", "cat's", "naïve", "東京", " 42", "—", "aaaa", "Z🦊", ".", ","]).prop_map(String::from),
            8 => prop::sample::select(vec![" ", "  ", "\n", "\n\n", " \n ", "\t", "\u{a0}"]).prop_map(String::from),
            1 => (prop::sample::select(vec!["a", "b.", "ab", "\n", " "]), 1usize..300).prop_map(|(s, n)| s.repeat(n)),
        ];
        prop::collection::vec(part, 0..300).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn chunks_have_the_tokens_of_the_whole(text in text(), cuts in prop::collection::vec(0.0..1.0, 0..20)) {
            let mut cuts: Vec<usize> = cuts
                .iter()
                .map(|at| (at * text.len() as f64) as usize)
                .map(|at| (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0))
                .chain([0, text.len()])
                .collect();
            cuts.sort_unstable();
            let pieces: Vec<&str> = cuts.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect();
            for (name, tokenizer) in tokenizers() {
                let whole = tokenizer.encode(&text).unwrap();
                let (parts, _) = encode(tokenizer, &pieces, Sizes { chunk: 150, context: 80 });
                prop_assert_eq!(&parts, &whole, "{}", name);
            }
        }
    }

    #[test]
    fn long_text_is_cut_and_a_word_without_end_is_not() {
        let prose = TRAINING_TEXT.repeat(200);
        let endless = "a".repeat(10_000);
        let sizes = Sizes {
            chunk: 500,
            context: 100,
        };
        for (name, tokenizer) in tokenizers().iter().filter(|(_, t)| !t.is_local()) {
            let (ids, parts) = encode(tokenizer, &[&prose], sizes);
            assert!(parts > 10, "{name}: {parts} parts");
            assert_eq!(ids, tokenizer.encode(&prose).expect("known"), "{name}");
            let (ids, _) = encode(tokenizer, &[&endless], sizes);
            assert_eq!(ids, tokenizer.encode(&endless).expect("known"), "{name}");
        }
    }
}
