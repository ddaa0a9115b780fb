//! Tokenizer files that are damaged or crafted: each is an error of one line, or
//! harmless; none panics, takes long, or gives an id that the model has no row for.

use std::time::{Duration, Instant};

use data::text::Tokenizer;
use serde_json::{Value, json};

use crate::{Folder, TestResult};

/// A sound word-level tokenizer, to be spoilt.
fn words() -> Value {
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "the": 1, "cat": 2}, "unk_token": "[UNK]"},
    })
}

/// A sound BPE, to be spoilt.
fn bpe() -> Value {
    let mut value = words();
    value["model"] = json!({
        "type": "BPE", "dropout": null, "unk_token": "u", "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
        "vocab": {"u": 0, "a": 1, "b": 2, "ab": 3}, "merges": [["a", "b"]],
    });
    value
}

fn with(mut value: Value, pointer: &str, to: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer starts with /");
    value.pointer_mut(parent).expect("the parent is there")[key] = to;
    value
}

/// Cases with a part of the message that each must give.
fn refused() -> Vec<(&'static str, String, &'static str)> {
    let gap = json!({"[UNK]": 0, "the": 1, "cat": 3});
    let many: serde_json::Map<String, Value> = (0..2000)
        .map(|i| (format!("t{i}"), (i * 2).into()))
        .collect();
    let long_merge = json!([["ab", "ab"]]);
    let doubling: Vec<Value> = (0..40)
        .map(|_| json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}))
        .collect();
    let added = |id: Value, content: &str| {
        json!([{
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        }])
    };
    let text = |value: Value| value.to_string();
    vec![
        (
            "empty file",
            String::new(),
            ":1:1: damaged tokenizer: not JSON",
        ),
        (
            "not JSON",
            "{\n  \"model\": oops}".into(),
            ":2:12: damaged tokenizer: not JSON: expected value",
        ),
        ("cut short", text(words())[..100].into(), "not JSON: EOF"),
        (
            "trailing bytes",
            text(words()) + "]",
            "not JSON: trailing characters",
        ),
        ("NUL bytes", "\0\0\0\0".into(), "not JSON"),
        ("a list", "[]".into(), "there is no `model`"),
        ("a number", "7".into(), "there is no `model`"),
        ("nothing in it", "{}".into(), "there is no `model`"),
        ("deep lists", "[".repeat(100_000), "recursion limit"),
        ("deep objects", "{\"a\":".repeat(100_000), "recursion limit"),
        (
            "deep pre-tokenizer",
            with(words(), "/pre_tokenizer", json!(0))
                .to_string()
                .replace(
                    "\"pre_tokenizer\":0",
                    &format!(
                        "\"pre_tokenizer\":{}{}",
                        "{\"type\":\"Sequence\",\"pretokenizers\":[".repeat(200),
                        "]}".repeat(200)
                    ),
                ),
            "recursion limit",
        ),
        (
            "a number too large",
            text(words()).replace("\"cat\":2", "\"cat\":1e999"),
            "not JSON: number out of range",
        ),
        (
            "model null",
            text(with(words(), "/model", Value::Null)),
            "`model` is not an object",
        ),
        (
            "model a list",
            text(with(words(), "/model", json!([1]))),
            "`model` is not an object",
        ),
        (
            "unknown model",
            text(with(words(), "/model/type", "Magic".into())),
            "damaged tokenizer",
        ),
        (
            "unknown version",
            text(with(words(), "/version", "9".into())),
            "version",
        ),
        (
            "no vocab",
            text(with(
                words(),
                "/model",
                json!({"type": "WordLevel", "unk_token": "u"}),
            )),
            "no `vocab`",
        ),
        (
            "empty vocab",
            text(with(words(), "/model/vocab", json!({}))),
            "the vocabulary is empty",
        ),
        (
            "empty pieces",
            text(with(
                words(),
                "/model",
                json!({"type": "Unigram", "vocab": [], "unk_id": null}),
            )),
            "the vocabulary is empty",
        ),
        (
            "vocab a text",
            text(with(words(), "/model/vocab", "abc".into())),
            "neither an object nor a list",
        ),
        (
            "id of 2^32 - 1",
            text(with(words(), "/model/vocab/cat", u32::MAX.into())),
            "token \"cat\" has id 4294967295",
        ),
        (
            "id of 2^64 - 1",
            text(with(words(), "/model/vocab/cat", u64::MAX.into())),
            "token \"cat\" has id 18446744073709551615",
        ),
        (
            "negative id",
            text(with(words(), "/model/vocab/cat", (-1).into())),
            "token \"cat\" has id -1",
        ),
        (
            "half an id",
            text(with(words(), "/model/vocab/cat", 1.5.into())),
            "token \"cat\" has id 1.5",
        ),
        (
            "id a text",
            text(with(words(), "/model/vocab/cat", "2".into())),
            "token \"cat\" has id \"2\"",
        ),
        (
            "a gap",
            text(with(words(), "/model/vocab", gap)),
            "ids have a gap: 3 follows where 2 is missing",
        ),
        (
            "gaps everywhere",
            text(with(words(), "/model/vocab", many.into())),
            "ids have a gap: 2 follows where 1 is missing",
        ),
        (
            "ids from 1",
            text(with(words(), "/model/vocab", json!({"a": 1}))),
            "ids have a gap",
        ),
        (
            "merge longer than any token",
            text(with(bpe(), "/model/merges", long_merge)),
            "merge 0: token \"abab\" is not in the vocabulary",
        ),
        (
            "merge of nothing known",
            text(with(bpe(), "/model/merges", json!(["x y"]))),
            "merge 0: token \"x\" is not in the vocabulary",
        ),
        (
            "merge of one",
            text(with(bpe(), "/model/merges", json!(["ab"]))),
            "merge 0 is not a pair",
        ),
        (
            "merge of three",
            text(with(bpe(), "/model/merges", json!([["a", "b", "ab"]]))),
            "merge 0 is not a pair",
        ),
        (
            "merge of numbers",
            text(with(bpe(), "/model/merges", json!([[1, 2]]))),
            "merge 0 is not a pair",
        ),
        (
            "merges a text",
            text(with(bpe(), "/model/merges", "a b".into())),
            "`merges` is not a list",
        ),
        (
            "prefix longer than a token",
            text(with(
                bpe(),
                "/model/continuing_subword_prefix",
                "####".into(),
            )),
            "merge 0: \"b\" does not start with the prefix \"####\"",
        ),
        (
            "prefix that ends inside a character",
            text(with(
                with(bpe(), "/model/continuing_subword_prefix", "x".into()),
                "/model",
                json!({
                    "type": "BPE", "continuing_subword_prefix": "x", "unk_token": null,
                    "vocab": {"a": 0, "é": 1, "aé": 2}, "merges": [["a", "é"]],
                }),
            )),
            "does not start with the prefix",
        ),
        (
            "unk_id past the pieces",
            text(with(
                words(),
                "/model",
                json!({"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": 7}),
            )),
            "UnkIdNotInVocabulary",
        ),
        (
            "a piece without score",
            text(with(
                words(),
                "/model",
                json!({"type": "Unigram", "vocab": [["a"]], "unk_id": 0}),
            )),
            "damaged tokenizer",
        ),
        (
            "added id of 2^32 - 1",
            text(with(
                words(),
                "/added_tokens",
                added(u32::MAX.into(), "<x>"),
            )),
            "token \"<x>\" has id 4294967295",
        ),
        (
            "added without id",
            text(with(words(), "/added_tokens", added(Value::Null, "<x>"))),
            "token \"<x>\" has id null",
        ),
        (
            "added without content",
            text(with(words(), "/added_tokens", json!([{"id": 3}]))),
            "an added token has no `content`",
        ),
        (
            "unknown normalizer",
            text(with(words(), "/normalizer", json!({"type": "Magic"}))),
            "damaged tokenizer",
        ),
        (
            "unknown pre-tokenizer",
            text(with(words(), "/pre_tokenizer", json!({"type": "Magic"}))),
            "damaged tokenizer",
        ),
        (
            "unknown decoder",
            text(with(words(), "/decoder", json!({"type": "Magic"}))),
            "damaged tokenizer",
        ),
        (
            "charsmap of nonsense",
            text(with(
                words(),
                "/normalizer",
                json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
            )),
            "damaged tokenizer",
        ),
        (
            "charsmap that claims more than it has",
            text(with(
                words(),
                "/normalizer",
                json!({"type": "Precompiled", "precompiled_charsmap": "/////w=="}),
            )),
            "damaged tokenizer",
        ),
        (
            "fixed length 0",
            text(with(
                words(),
                "/pre_tokenizer",
                json!({"type": "FixedLength", "length": 0}),
            )),
            "`FixedLength` has length 0",
        ),
        (
            "text that doubles forty times",
            text(with(
                words(),
                "/normalizer",
                json!({"type": "Sequence", "normalizers": doubling}),
            )),
            "make text more than",
        ),
        (
            "regex that is none",
            text(with(
                words(),
                "/pre_tokenizer",
                json!({"type": "Split", "pattern": {"Regex": "(["}, "behavior": "Isolated", "invert": false}),
            )),
            "damaged tokenizer",
        ),
        (
            "regex of enormous size",
            text(with(
                words(),
                "/pre_tokenizer",
                json!({"type": "Split", "pattern": {"Regex": "((a{1000}){1000}){1000}"}, "behavior": "Isolated", "invert": false}),
            )),
            "damaged tokenizer",
        ),
        (
            "template of tokens that are not there",
            text(with(
                words(),
                "/post_processor",
                json!({
                    "type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}],
                    "pair": [], "special_tokens": {},
                }),
            )),
            "damaged tokenizer",
        ),
        (
            "template that adds an id past the vocabulary",
            text(with(
                words(),
                "/post_processor",
                json!({
                    "type": "TemplateProcessing",
                    "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                    "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [999], "tokens": ["[CLS]"]}},
                }),
            )),
            "encodes to id 999, past its 3 tokens",
        ),
    ]
}

/// Odd files that must not be more than odd: they load or not, encode or not.
fn odd() -> Vec<(&'static str, String)> {
    let text = |value: Value| value.to_string();
    let split = |regex: &str| json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false});
    let mut added = Vec::new();
    for id in 3..2000 {
        added.push(json!({
            "id": id, "content": format!("<{id}>"), "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": true, "special": false,
        }));
    }
    vec![
        (
            "regex bomb",
            text(with(words(), "/pre_tokenizer", split("(a+)+$"))),
        ),
        (
            "regex bomb that looks back",
            text(with(words(), "/pre_tokenizer", split(r"(?=(a+)+b)\1"))),
        ),
        (
            "regex of nothing",
            text(with(words(), "/pre_tokenizer", split(""))),
        ),
        (
            "split at nothing",
            text(with(
                words(),
                "/pre_tokenizer",
                json!({"type": "Split", "pattern": {"String": ""}, "behavior": "Removed", "invert": true}),
            )),
        ),
        (
            "replace nothing",
            text(with(
                words(),
                "/normalizer",
                json!({"type": "Replace", "pattern": {"String": ""}, "content": "xy"}),
            )),
        ),
        (
            "strip more than there is",
            text(with(
                words(),
                "/decoder",
                json!({"type": "Strip", "content": "a", "start": 99, "stop": 99}),
            )),
        ),
        (
            "strip 2^64 - 1",
            text(with(
                words(),
                "/decoder",
                json!({"type": "Strip", "content": "a", "start": u64::MAX, "stop": u64::MAX}),
            )),
        ),
        (
            "CTC of nothing",
            text(with(
                words(),
                "/decoder",
                json!({"type": "CTC", "pad_token": "", "word_delimiter_token": "", "cleanup": true}),
            )),
        ),
        (
            "metaspace of nothing",
            text(with(
                words(),
                "/pre_tokenizer",
                json!({"type": "Metaspace", "replacement": " ", "prepend_scheme": "always", "split": false}),
            )),
        ),
        (
            "truncation with a stride past the length",
            text(with(
                words(),
                "/truncation",
                json!({"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 9}),
            )),
        ),
        (
            "padding to 2^40",
            text(with(
                words(),
                "/padding",
                json!({"strategy": {"Fixed": 1u64 << 40}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "x"}),
            )),
        ),
        (
            "unknown token that is not there",
            text(with(words(), "/model/unk_token", "gone".into())),
        ),
        (
            "pieces without unknown",
            text(with(
                words(),
                "/model",
                json!({"type": "Unigram", "vocab": [["a", -1.0]], "unk_id": null}),
            )),
        ),
        (
            "one id for two tokens",
            text(with(
                words(),
                "/model/vocab",
                json!({"[UNK]": 0, "a": 1, "b": 1}),
            )),
        ),
        (
            "an empty token",
            text(with(words(), "/model/vocab", json!({"[UNK]": 0, "": 1}))),
        ),
        (
            "dropout of 2",
            text(with(bpe(), "/model/dropout", 2.0.into())),
        ),
        (
            "many added tokens",
            text(with(words(), "/added_tokens", added.into())),
        ),
        (
            "a model without type",
            text(with(
                words(),
                "/model",
                json!({"vocab": {"[UNK]": 0, "a": 1}, "unk_token": "[UNK]"}),
            )),
        ),
        (
            "vocab twice",
            text(words()).replace("\"unk_token\"", "\"vocab\":{\"[UNK]\":0},\"unk_token\""),
        ),
        (
            "keys that mean nothing",
            text(with(words(), "/extra", json!({"x": [1, 2]}))),
        ),
    ]
}

#[test]
fn damaged_files_are_refused_on_one_line() -> TestResult {
    let folder = Folder::new()?;
    for (name, content, message) in refused() {
        let path = folder.write("tokenizer.json", content)?;
        let start = Instant::now();
        let Err(error) = Tokenizer::from_file(&path) else {
            return Err(format!("{name}: was accepted").into());
        };
        let error = error.to_string();
        assert!(
            error.starts_with(&*path.to_string_lossy()),
            "{name}: {error}"
        );
        assert!(error.contains(message), "{name}: {error}");
        assert!(
            !error.contains('\n') && error.contains("; "),
            "{name}: {error}"
        );
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{name} took {:?}",
            start.elapsed()
        );
    }
    Ok(())
}

#[test]
fn odd_files_do_no_harm() -> TestResult {
    let texts = [
        "",
        "the cat",
        "a\u{0}b",
        "é🦊\u{301}\u{FFFD}",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
    ];
    let folder = Folder::new()?;
    for (name, content) in odd() {
        let path = folder.write("tokenizer.json", content)?;
        let start = Instant::now();
        let tokenizer = match Tokenizer::from_file(&path) {
            Ok(tokenizer) => tokenizer,
            Err(error) => {
                assert!(!error.to_string().contains('\n'), "{name}: {error}");
                continue;
            }
        };
        for text in texts {
            for ids in [
                tokenizer.encode(text),
                tokenizer.encode_sequence(text, usize::MAX),
                tokenizer.encode_sequence(text, 3),
                tokenizer.encode_sequence(text, 0),
            ] {
                match ids {
                    Ok(ids) => {
                        assert!(
                            ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()),
                            "{name}"
                        );
                        let mut stream = tokenizer.decode_stream();
                        for &id in &ids {
                            drop(stream.push(id));
                        }
                        drop(tokenizer.decode(&ids));
                    }
                    Err(error) => assert!(!error.to_string().contains('\n'), "{name}: {error}"),
                }
            }
        }
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{name} took {:?}",
            start.elapsed()
        );
    }
    Ok(())
}

#[test]
fn a_file_that_is_too_large_missing_or_not_text_is_named() -> TestResult {
    let folder = Folder::new()?;
    let gone = folder.path("gone.json");
    let error = Tokenizer::from_file(&gone).unwrap_err().to_string();
    assert!(error.contains("gone.json: cannot read: "), "{error}");

    let path = folder.write("latin.json", b"{\"a\":\n \"\xE9\"}")?;
    let error = Tokenizer::from_file(&path).unwrap_err().to_string();
    assert!(
        error.contains("latin.json:2:3: byte 0xE9 is not UTF-8"),
        "{error}"
    );

    let path = folder.path("large.json");
    std::fs::File::create(&path)?.set_len(data::text::tokenizer::MAX_FILE_SIZE + 1)?;
    let error = Tokenizer::from_file(&path).unwrap_err().to_string();
    assert!(error.contains("larger than 67108864 bytes"), "{error}");
    Ok(())
}

/// Flips and cuts of a sound file: whatever comes of it, nothing panics.
#[test]
fn every_byte_of_a_sound_file_may_be_wrong() -> TestResult {
    let at = data::Place::file("tokenizer.json");
    for sound in [bpe().to_string(), words().to_string()] {
        for i in 0..sound.len() {
            for wrong in [b'0', b'9', b'"', b'}', b'-'] {
                let mut bytes = sound.clone().into_bytes();
                bytes[i] = wrong;
                let Ok(json) = String::from_utf8(bytes) else {
                    continue;
                };
                if let Ok(tokenizer) = Tokenizer::from_json(&json, &at) {
                    drop(tokenizer.encode("the cat ab"));
                }
            }
            drop(Tokenizer::from_json(&sound[..i], &at));
        }
    }
    Ok(())
}

/// A contained panic is no line on the terminal either.
#[test]
fn contained_panics_print_nothing() -> TestResult {
    let output = std::process::Command::new(std::env::current_exe()?)
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .args(["hostile_tokenizers::odd_files_do_no_harm"])
        .args(["hostile_tokenizers::damaged_files_are_refused_on_one_line"])
        .output()?;
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("2 passed"));
    assert!(!printed.contains("panicked"), "{printed}");
    Ok(())
}
