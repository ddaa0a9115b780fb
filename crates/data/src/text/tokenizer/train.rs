//! Learning a vocabulary from text.

use std::collections::BTreeMap;

use tokenizers::models::ModelWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::models::wordlevel::{WordLevel, WordLevelTrainer};
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::normalizers::{BertNormalizer, Lowercase};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::Metaspace;
use tokenizers::pre_tokenizers::whitespace::Whitespace;
use tokenizers::{
    AddedToken, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer, Trainer,
};

use super::Tokenizer;
use crate::contain::contain;
use crate::text::{Source, TokenizerKind, TokenizerTraining};
use crate::{Error, Result};

/// Words and how often they occur, in an order that does not vary.
type Words = BTreeMap<String, u64>;

type Inner = tokenizers::Tokenizer;

/// Learns a tokenizer from all text of `source`.
///
/// The same text gives the same tokenizer, byte for byte: words are counted in
/// order, and the learning runs on one thread because sums of floating-point
/// numbers would otherwise depend on how many there are.
///
/// - `bpe` works on bytes, so no text is foreign to it; it has `<|endoftext|>`.
/// - `wordpiece` splits at blanks and punctuation; what it does not know is `[UNK]`.
/// - `unigram` keeps blanks as `▁`; what it does not know is `<unk>`.
/// - `words` keeps the most frequent words; what it does not know is `[UNK]`.
///
/// # Errors
///
/// If the text cannot be read or is empty, or if `vocab_size` is too small to
/// hold the characters of the text.
pub fn train(training: &TokenizerTraining, source: &Source) -> Result<Tokenizer> {
    let failed = |reason: String| Error::Training {
        at: source.at().clone(),
        reason,
    };
    let mut inner = untrained(training);
    let words = count_words(&inner, source)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|error| failed(error.to_string()))?;

    // Inside the pool: the thread that may panic is the one that is silenced.
    let learnt = pool.install(|| contain(|| learn(training, words)));
    let (model, special) = learnt
        .map_err(&failed)?
        .map_err(|error| failed(error.to_string()))?;
    inner.with_model(model);
    inner
        .add_special_tokens([special])
        .map_err(|error| failed(error.to_string()))?;
    let json = inner
        .to_string(true)
        .map_err(|error| failed(error.to_string()))?;
    Tokenizer::from_json(&json, source.at())
}

/// Everything but the vocabulary.
fn untrained(training: &TokenizerTraining) -> Inner {
    let lowercase = training.lowercase;
    match training.kind {
        TokenizerKind::Bpe => {
            let mut inner = Inner::new(BPE::default());
            let byte_level = ByteLevel::new(false, false, true);
            inner
                .with_pre_tokenizer(Some(byte_level))
                .with_decoder(Some(byte_level));
            with_lowercase(inner, lowercase)
        }
        TokenizerKind::Wordpiece => {
            let mut inner = Inner::new(WordPiece::default());
            let normalizer = BertNormalizer::new(true, true, None, lowercase);
            inner
                .with_normalizer(Some(normalizer))
                .expect("no added tokens to normalise yet");
            inner
                .with_pre_tokenizer(Some(BertPreTokenizer))
                .with_decoder(Some(tokenizers::decoders::wordpiece::WordPiece::default()));
            inner
        }
        TokenizerKind::Unigram => {
            let mut inner = Inner::new(Unigram::default());
            inner
                .with_pre_tokenizer(Some(Metaspace::default()))
                .with_decoder(Some(Metaspace::default()));
            with_lowercase(inner, lowercase)
        }
        TokenizerKind::Words => {
            let mut inner = Inner::new(WordLevel::default());
            inner.with_pre_tokenizer(Some(Whitespace {}));
            with_lowercase(inner, lowercase)
        }
    }
}

fn with_lowercase(mut inner: Inner, lowercase: bool) -> Inner {
    let normalizer = lowercase.then_some(Lowercase);
    inner
        .with_normalizer(normalizer)
        .expect("no added tokens to normalise yet");
    inner
}

fn count_words(inner: &Inner, source: &Source) -> Result<Words> {
    let failed = |error: tokenizers::Error| Error::Training {
        at: source.at().clone(),
        reason: error.to_string(),
    };
    let mut words = Words::new();
    let mut lines = source.lines();
    while let Some(text) = lines.next()? {
        let mut normalized = NormalizedString::from(text);
        if let Some(normalizer) = inner.get_normalizer() {
            normalizer.normalize(&mut normalized).map_err(failed)?;
        }
        let mut pieces = PreTokenizedString::from(normalized);
        if let Some(pre_tokenizer) = inner.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut pieces).map_err(failed)?;
        }
        for (word, _, _) in pieces.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            match words.get_mut(word) {
                Some(count) => *count += 1,
                None => drop(words.insert(word.to_string(), 1)),
            }
        }
    }
    if words.is_empty() {
        return Err(Error::Empty {
            at: source.at().clone(),
        });
    }
    Ok(words)
}

/// The model, and its one special token.
fn learn(
    training: &TokenizerTraining,
    words: Words,
) -> tokenizers::Result<(ModelWrapper, AddedToken)> {
    let vocab_size = training.vocab_size;
    let special = |name: &str| AddedToken::from(name, true);
    match training.kind {
        TokenizerKind::Bpe => {
            let end = special("<|endoftext|>");
            let mut trainer = BpeTrainer::builder()
                .vocab_size(vocab_size)
                .min_frequency(2)
                .show_progress(false)
                .special_tokens(vec![end.clone()])
                .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
                .build();
            let mut model = BPE::default();
            feed(&mut trainer, words)?;
            trainer.train(&mut model)?;
            Ok((model.into(), end))
        }
        TokenizerKind::Wordpiece => {
            let unknown = special("[UNK]");
            // The trainer numbers continuations as its hash table yields words;
            // given in advance, they are numbered in this order.
            let continuations = words
                .keys()
                .flat_map(|word| word.chars().skip(1))
                .collect::<std::collections::BTreeSet<char>>()
                .into_iter()
                .map(|c| special(&format!("##{c}")));
            let reserved = std::iter::once(unknown.clone())
                .chain(continuations)
                .collect();
            let mut trainer = WordPieceTrainer::builder()
                .vocab_size(vocab_size)
                .min_frequency(2)
                .show_progress(false)
                .special_tokens(reserved)
                .build();
            let mut model = WordPiece::default();
            feed(&mut trainer, words)?;
            trainer.train(&mut model)?;
            Ok((model.into(), unknown))
        }
        TokenizerKind::Unigram => {
            let unknown = special("<unk>");
            let trainer = UnigramTrainer::builder()
                .vocab_size(u32::try_from(vocab_size)?)
                .show_progress(false)
                .special_tokens(vec![unknown.clone()])
                .unk_token(Some(unknown.content.clone()))
                .build()?;
            let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
            let words = words
                .into_iter()
                .map(|(word, n)| (word, count(n)))
                .collect();
            let mut model = Unigram::default();
            trainer.do_train(words, &mut model)?;
            Ok((in_fixed_order(&model)?.into(), unknown))
        }
        TokenizerKind::Words => {
            let unknown = special("[UNK]");
            let mut trainer = WordLevelTrainer::builder()
                .vocab_size(vocab_size)
                .min_frequency(2)
                .show_progress(false)
                .special_tokens(vec![unknown.clone()])
                .build()?;
            feed(&mut trainer, words)?;
            let mut model = WordLevel::default();
            model.unk_token = unknown.content.clone();
            trainer.train(&mut model)?;
            Ok((model.into(), unknown))
        }
    }
}

/// Hands over words as often as they were counted.
fn feed<T: Trainer>(trainer: &mut T, words: Words) -> tokenizers::Result<()> {
    let repeated = words
        .into_iter()
        .flat_map(|(word, n)| (0..n).map(move |_| word.clone()));
    trainer.feed(repeated, |word| Ok(vec![word.to_string()]))
}

/// The same pieces, numbered by score and, where that is equal, by name.
///
/// The trainer's last step walks a hash table: pieces of equal score come in any
/// order, and characters that were in no piece get, in any order, the scores
/// `min`, `min + 0.0001`, ... They get them in the order of their names here.
fn in_fixed_order(model: &Unigram) -> tokenizers::Result<Unigram> {
    const STEP: f64 = 0.0001;
    let mut pieces: Vec<(String, f64)> = model.iter().cloned().collect();
    let unknown = pieces.remove(0);
    pieces.sort_by(|a, b| a.0.cmp(&b.0));

    let min = pieces
        .iter()
        .map(|piece| piece.1)
        .fold(f64::INFINITY, f64::min);
    let mut late = Vec::new();
    let mut penalty = 0.0;
    loop {
        let found = late.len();
        let given =
            |piece: &(String, f64)| piece.1 == min + penalty && piece.0.chars().count() == 1;
        late.extend((0..pieces.len()).filter(|&i| given(&pieces[i])));
        if late.len() == found {
            break;
        }
        penalty += STEP;
    }
    let mut scores: Vec<f64> = late.iter().map(|&i| pieces[i].1).collect();
    scores.sort_by(f64::total_cmp);
    late.sort_unstable();
    for (i, score) in late.into_iter().zip(scores) {
        pieces[i].1 = score;
    }

    // Stable: equal scores stay in the order of their names.
    pieces.sort_by(|a, b| b.1.total_cmp(&a.1));
    Unigram::from(
        std::iter::once(unknown).chain(pieces).collect(),
        Some(0),
        false,
    )
}
