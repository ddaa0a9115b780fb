//! Texts and tables that are damaged: each is an error of one line with its place.

use std::path::Path;
use std::time::{Duration, Instant};

use data::Open;
use data::text::{ClassData, LanguageData};
use serde_json::{Value, json};

use crate::{Folder, TestResult};

/// A file by its name, what is in it, and what the error says after the folder.
type Case = (&'static str, Vec<u8>, &'static str);

fn check(
    cases: Vec<Case>,
    table: Value,
    open: fn(&data::text::TextDataConfig) -> data::Result<()>,
) -> TestResult {
    let folder = Folder::new()?;
    for (name, content, message) in cases {
        let path = folder.write(name, &content)?;
        let config = folder.config(&path, table.clone())?;
        let start = Instant::now();
        let shown = String::from_utf8_lossy(&content[..content.len().min(60)]).into_owned();
        let Err(error) = open(&config) else {
            return Err(format!("{name} {shown:?}: was accepted").into());
        };
        let error = error.to_string();
        let place = format!("{}{message}", path.display());
        assert!(
            error.starts_with(&place),
            "{name} {shown:?}:\n{error}\n{place}"
        );
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

fn language(config: &data::text::TextDataConfig) -> data::Result<()> {
    LanguageData::open(config, &Open::default()).map(drop)
}

fn classes(config: &data::text::TextDataConfig) -> data::Result<()> {
    ClassData::open(config, &Open::default()).map(drop)
}

#[test]
fn texts() -> TestResult {
    let far = "aé\n".repeat(50_000) + "ok";
    let cases: Vec<Case> = vec![
        ("a.txt", b"".into(), ": holds no text"),
        ("a.txt", "\u{FEFF}".into(), ": holds no text"),
        (
            "a.txt",
            b"short".into(),
            ": the training text has 4 tokens, but one window of seq_len = 8 needs 9",
        ),
        (
            "a.txt",
            b"\xFF\xFEa\0b\0".into(),
            ":1:1: byte 0xFF is not UTF-8",
        ),
        ("a.txt", b"caf\xE9".into(), ":1:4: byte 0xE9 is not UTF-8"),
        ("a.txt", b"a\nb\xC3".into(), ":2:2: byte 0xC3 is not UTF-8"),
        (
            "a.txt",
            b"a\r\n\r\nb\xED\xA0\x80".into(),
            ":3:2: byte 0xED is not UTF-8",
        ),
        (
            "a.txt",
            [far.as_bytes(), b"\xC3("].concat(),
            ":50001:3: byte 0xC3 is not UTF-8",
        ),
        ("a.md", b"\x80".into(), ":1:1: byte 0x80 is not UTF-8"),
    ];
    check(cases, json!({"seq_len": 8}), language)
}

#[test]
fn foreign_characters_are_found_far_into_a_file() -> TestResult {
    let folder = Folder::new()?;
    let path = folder.write("train.txt", "abc \n".repeat(10))?;
    let val = folder.write("val.txt", "abc \n".repeat(40_000) + "ab\u{1F98A}")?;
    let config = folder.config(&path, json!({"seq_len": 8, "val": val}))?;
    let error = LanguageData::open(&config, &Open::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("val.txt:40001:3: character '🦊' (U+1F98A)"),
        "{error}"
    );
    Ok(())
}

#[test]
fn missing_files_folders_and_patterns() -> TestResult {
    let folder = Folder::new()?;
    std::fs::create_dir(folder.path("empty"))?;
    for (name, message) in [
        (
            "gone.txt",
            "gone.txt: cannot read: No such file or directory (os error 2); check the path",
        ),
        ("empty", "empty: no file found here"),
        ("*.nothing", "*.nothing: no file found here"),
        ("a[", "a[: not a valid pattern"),
        ("a***b*", "a***b*: not a valid pattern"),
    ] {
        let config = folder.config(&folder.path(name), json!({}))?;
        for open in [language, classes] {
            let error = open(&config).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
    let config = folder.config(Path::new("embedded"), json!({}))?;
    assert!(
        language(&config)
            .unwrap_err()
            .to_string()
            .starts_with("embedded: no text is compiled")
    );
    Ok(())
}

#[cfg(not(feature = "hub"))]
#[test]
fn a_set_of_the_hub_needs_the_feature() -> TestResult {
    let config: data::text::TextDataConfig = serde_json::from_value(json!({"path": "hub:a/b"}))?;
    for open in [language, classes] {
        let error = open(&config).unwrap_err().to_string();
        assert!(
            error.starts_with("hub:a/b: this program was built without the feature `hub`"),
            "{error}"
        );
    }
    Ok(())
}

#[test]
fn json_lines() -> TestResult {
    let good = "{\"text\": \"a\", \"label\": \"x\"}\n";
    let line = |bad: &str| format!("{good}{bad}\n").into_bytes();
    let deep = |open: &str| line(&(format!("{{\"text\": {}", open.repeat(100_000))));
    let cases: Vec<Case> = vec![
        ("a.jsonl", b"".into(), ": holds no text"),
        ("a.jsonl", b"\n\n  \n".into(), ": holds no text"),
        ("a.jsonl", good.into(), ": only one class, `x`"),
        (
            "a.jsonl",
            line("{"),
            ":2:1: not a JSON object: EOF while parsing an object",
        ),
        (
            "a.jsonl",
            line("{\"text\": \"a\", oops}"),
            ":2:15: not a JSON object: key must be a string",
        ),
        (
            "a.jsonl",
            line("{\"text\": \"a\"} {}"),
            ":2:15: not a JSON object: trailing characters",
        ),
        ("a.jsonl", line("[1]"), ":2:"),
        ("a.jsonl", line("\"text\""), ":2:"),
        ("a.jsonl", line("null"), ":2:"),
        (
            "a.jsonl",
            line("{}"),
            ":2: no column `label`; the columns are",
        ),
        (
            "a.jsonl",
            line("{\"text\": \"a\"}"),
            ":2: no column `label`; the columns are `text`",
        ),
        (
            "a.jsonl",
            line("{\"text\": \"a\", \"Labels\": 1}"),
            ":2: no column `label`; did you mean `Labels`?",
        ),
        (
            "a.jsonl",
            line("{\"label\": \"x\"}"),
            ":2: no column `text`; the columns are `label`",
        ),
        (
            "a.jsonl",
            line("{\"text\": 1, \"label\": 1}"),
            ":2: `text` is a number, not a string",
        ),
        (
            "a.jsonl",
            line("{\"text\": null, \"label\": 1}"),
            ":2: `text` is null, not a string",
        ),
        (
            "a.jsonl",
            line("{\"text\": [\"a\"], \"label\": 1}"),
            ":2: `text` is a list, not a string",
        ),
        (
            "a.jsonl",
            line("{\"text\": {}, \"label\": 1}"),
            ":2: `text` is an object, not a string",
        ),
        (
            "a.jsonl",
            line("{\"text\": \"a\", \"label\": null}"),
            ":2: `label` is null, not a string",
        ),
        (
            "a.jsonl",
            line("{\"text\": \"a\", \"label\": 1e999}"),
            ":2:",
        ),
        (
            "a.jsonl",
            line("{\"text\": \"\", \"label\": \"y\"}"),
            ":2: the text of this example is empty",
        ),
        (
            "a.jsonl",
            line("{\"text\": \"\\ud800\", \"label\": \"y\"}"),
            ":2:",
        ),
        ("a.jsonl", line("\0"), ":2:1: not a JSON object"),
        ("a.jsonl", deep("["), ":2:"),
        ("a.jsonl", deep("{\"a\":"), ":2:"),
        (
            "a.jsonl",
            [good.as_bytes(), b"{\"text\": \"\xFF\"}"].concat(),
            ":2:11: byte 0xFF is not UTF-8",
        ),
        (
            "a.jsonl",
            line(&format!("{{\"text\": \"{}\"}}", "a".repeat(17 << 20))),
            ":2: a record of more than 16777216 bytes",
        ),
        (
            "a.jsonl",
            vec![b' '; 17 << 20],
            ":1: a record of more than 16777216 bytes",
        ),
    ];
    check(cases, json!({"tokenizer": "bytes"}), classes)
}

#[test]
fn tables() -> TestResult {
    let wide = format!("{}\n{}\n", "c,".repeat(100_000), "v,".repeat(99_999));
    let cases: Vec<Case> = vec![
        ("a.csv", b"".into(), ": holds no text"),
        ("a.csv", b"text,label\n".into(), ": holds no text"),
        (
            "a.csv",
            b"text,label\na,x\nb,x\n".into(),
            ": only one class, `x`",
        ),
        (
            "a.csv",
            b"text,label\na,x\nb\n".into(),
            ":3: 1 fields, but the header has 2",
        ),
        (
            "a.csv",
            b"text,label\na,x\nb,y,z\n".into(),
            ":3: 3 fields, but the header has 2",
        ),
        (
            "a.csv",
            b"text,label\n\"two\nlines\",x\n\nb\n".into(),
            ":5: 1 fields, but the header has 2",
        ),
        (
            "a.csv",
            b"text,label\r\n\r\n\"two\r\nlines\",x\r\n\r\nb\r\n".into(),
            ":6: 1 fields, but the header has 2",
        ),
        (
            "a.csv",
            b"text,label\na,x\n\n\n\nb".into(),
            ":6: 1 fields, but the header has 2",
        ),
        (
            "a.csv",
            b"text,label\n\"never closed,x\nb,y\n".into(),
            ":2: 1 fields, but the header has 2",
        ),
        (
            "a.csv",
            b"text;label\na;x\n".into(),
            ":1: no column `text`; the columns are `text;label`",
        ),
        (
            "a.csv",
            b"Text,label\na,x\n".into(),
            ":1: no column `text`; did you mean `Text`?",
        ),
        (
            "a.csv",
            b"text,class\na,x\n".into(),
            ":1: no column `label`; the columns are `text`, `class`",
        ),
        (
            "a.csv",
            b"text,text,label\na,b,x\n".into(),
            ":1: column `text` appears twice",
        ),
        (
            "a.csv",
            b"text,label\na,x\nb\xFF,y\n".into(),
            ":3: byte 0xFF is not UTF-8",
        ),
        (
            "a.csv",
            b"te\xFFxt,label\n".into(),
            ":1: byte 0xFF is not UTF-8",
        ),
        (
            "a.csv",
            b"text,label\na,x\n,y\n".into(),
            ":3: the text of this example is empty",
        ),
        ("a.csv", b"\xFF\xFEt\0".into(), ":1: byte 0xFF is not UTF-8"),
        ("a.csv", wide.into(), ":1: column `c` appears twice"),
        (
            "a.csv",
            [b"text,label\n\"".as_slice(), &vec![b'a'; 17 << 20]].concat(),
            ":2: a record of more than 16777216 bytes",
        ),
        (
            "a.tsv",
            b"text\tlabel\na\tx\nb\n".into(),
            ":3: 1 fields, but the header has 2",
        ),
        (
            "a.tsv",
            b"text,label\na,x\n".into(),
            ":1: no column `text`; the columns are `text,label`",
        ),
        ("a.tab", b"".into(), ": holds no text"),
        (
            "a.tab",
            b"Class\tText\n".into(),
            ":2: 0 fields, but the first header line has 2",
        ),
        (
            "a.tab",
            b"Class\tText\nd\tstring\nclass\n".into(),
            ":3: 1 fields, but the first header line has 2",
        ),
        (
            "a.tab",
            b"Class\tText\nd\tstring\nclass\t\n".into(),
            ": holds no text",
        ),
        (
            "a.tab",
            b"Class\tBody\nd\td\nclass\t\na\tb\n".into(),
            ":1: no column `text`; the columns are `Class`, `Body`",
        ),
        (
            "a.tab",
            b"Class\tText\nd\tstring\n\t\na\tb\n".into(),
            ":1: no column `label`; the columns are `Class`, `Text`",
        ),
        (
            "a.tab",
            b"Class\tText\nd\tstring\nclass\t\na\tb\nb\n".into(),
            ":5: 1 fields, but the header has 2",
        ),
        (
            "a.txt",
            b"no labels in here".into(),
            ": a plain text has no labels",
        ),
    ];
    check(cases, json!({"tokenizer": "bytes"}), classes)
}

#[test]
fn a_label_outside_the_classes_is_named() -> TestResult {
    let folder = Folder::new()?;
    let path = folder.write("train.csv", "text,label\na,earn\nb,acq\n")?;
    let val = folder.write("val.csv", "text,label\na,earn\nb,earnn\n")?;
    let config = folder.config(&path, json!({"tokenizer": "bytes", "val": val}))?;
    let error = classes(&config).unwrap_err().to_string();
    assert!(
        error.ends_with("val.csv:3: label `earnn` is not one of the classes; did you mean `earn`?"),
        "{error}"
    );

    let config = folder.config(&path, json!({"tokenizer": "bytes", "test": val}))?;
    let data = ClassData::open(
        &config,
        &Open {
            seed: 1,
            ..Open::default()
        },
    )?;
    assert!(
        data.test()
            .is_err_and(|error| error.to_string().contains("val.csv:3: label `earnn`"))
    );
    Ok(())
}

#[test]
fn too_few_examples_to_hold_any_out() -> TestResult {
    let folder = Folder::new()?;
    let path = folder.write("a.csv", "text,label\na,x\nb,y\n")?;
    let config = folder.config(&path, json!({"tokenizer": "bytes", "val_fraction": 0.9}))?;
    let error = classes(&config).unwrap_err().to_string();
    assert!(
        error.contains("a.csv: 2 training examples, but at least 3 are needed"),
        "{error}"
    );
    Ok(())
}
