//! Bytes as tokens.

use serde_json::{Map, Value, json};

/// One token a byte.
pub(super) const VOCAB_SIZE: usize = 256;

pub(super) fn encode(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}

pub(super) fn decode(ids: &[u32]) -> String {
    let bytes: Vec<u8> = ids.iter().map(|&id| id as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(super) fn id_of(token: &str) -> Option<u32> {
    (0..=u8::MAX)
        .find(|&byte| token.chars().eq([name(byte)]))
        .map(u32::from)
}

pub(super) fn token(id: u32) -> Option<String> {
    u8::try_from(id).ok().map(|byte| name(byte).to_string())
}

pub(super) fn to_json() -> String {
    format!("{:#}\n", to_value())
}

/// Byte-level BPE without merges: every byte stays alone.
pub(super) fn to_value() -> Value {
    let vocab: Map<String, Value> = (0..=u8::MAX)
        .map(|byte| (name(byte).to_string(), byte.into()))
        .collect();
    let byte_level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false,
    });
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": byte_level,
        "post_processor": null,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": vocab,
            "merges": [],
        },
    })
}

/// The printable character that stands for a byte in byte-level vocabularies.
///
/// Printable Latin-1 stands for itself, the rest follows from U+0100 on; the
/// table of GPT-2 (Radford et al. 2019).
fn name(byte: u8) -> char {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if printable(byte) {
        return char::from(byte);
    }
    let rank = (0..byte).filter(|&b| !printable(b)).count() as u32;
    char::from_u32(0x100 + rank).expect("at most 0x100 + 255, far from the surrogates")
}
