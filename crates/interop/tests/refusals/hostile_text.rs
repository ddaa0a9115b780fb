//! Texts that are no config.json.

use interop::Checkpoint;

use crate::{refusal_of, sound};

const REMEDY: &str = "; use the file as it came with the weights";

#[test]
fn what_is_no_object_is_refused() {
    for text in [
        "[]",
        "1",
        "null",
        "\"model_type\"",
        "true",
        "[{\"model_type\": \"bert\"}]",
    ] {
        assert_eq!(
            refusal_of(text, None),
            format!("config.json: it holds no JSON object{REMEDY}"),
        );
    }
}

#[test]
fn what_is_garbled_is_refused_with_its_place() {
    let sound = sound("BertModel").to_string();
    let twice = format!("{sound}{sound}");
    for (text, words) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        (" \n\n", "EOF while parsing a value at line 3 column 0"),
        (&sound[..sound.len() / 2], "EOF"),
        (&sound[..sound.len() - 1], "EOF while parsing an object"),
        (&twice, "trailing characters at line 1"),
        (
            "{\"model_type\": 'bert'}",
            "expected value at line 1 column 16",
        ),
        ("{\"hidden_size\": 1e999}", "number out of range"),
        ("{\"hidden_size\": NaN}", "expected value"),
        ("{\"a\": 1,}", "trailing comma"),
        ("\u{feff}{}", "expected value at line 1 column 1"),
        ("\u{0}\u{0}\u{0}", "expected value at line 1 column 1"),
        ("# a comment", "expected value at line 1 column 1"),
    ] {
        let line = refusal_of(text, None);
        assert!(
            line.starts_with("config.json: it is not JSON: ")
                && line.contains(words)
                && line.ends_with(REMEDY),
            "{line}"
        );
    }
}

#[test]
fn what_is_too_deep_or_too_large_is_refused_without_being_built() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{{\"a\":{}0{}}}", open.repeat(10_000), close.repeat(10_000));
        let line = refusal_of(&deep, None);
        assert!(
            line.starts_with("config.json: it is not JSON: recursion limit exceeded at line 1")
                && line.ends_with(REMEDY),
            "{line}"
        );
    }
    let large = format!("{{\"a\": \"{}\"}}", "x".repeat(70_000_000));
    assert_eq!(
        refusal_of(&large, None),
        format!("config.json: 70000009 bytes are too many, at most 67108864 are read{REMEDY}"),
    );
}

/// A long value is cut short, between characters.
#[test]
fn a_value_in_a_message_is_short_and_on_one_line() {
    for value in [
        "x".repeat(100_000),
        "ü".repeat(1000),
        "a\nb\r\n".repeat(1000),
    ] {
        let text = serde_json::json!({ "model_type": value }).to_string();
        let line = refusal_of(&text, None);
        assert!(
            line.contains(" … is not supported; use one of \"bert\""),
            "{line}"
        );
    }
}

/// As in Python, the last one counts.
#[test]
fn of_a_key_that_is_there_twice_the_last_counts() {
    let text = sound("BertModel").to_string();
    let (start, end) = text.split_at(text.len() - 1);
    let wrong = refusal_of(&format!("{start},\"hidden_size\":0{end}"), None);
    assert!(wrong.contains("hidden_size = 0"), "{wrong}");
    let right = text.replacen('{', "{\"hidden_size\":0,", 1);
    assert!(Checkpoint::read(&right, None).is_ok());
}
