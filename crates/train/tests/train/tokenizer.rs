//! `train tokenizer`: what it learns opens again, and what it cannot use it names.

use std::{error::Error, fs, path::Path, process::Command};

use tempfile::TempDir;

type TestResult = Result<(), Box<dyn Error>>;

fn tokenizer(folder: &Path, arguments: &[&str]) -> Result<(i32, String, String), Box<dyn Error>> {
    let output = Command::new(env!("CARGO_BIN_EXE_train"))
        .arg("tokenizer")
        .args(arguments)
        .current_dir(folder)
        .env_remove("RUST_BACKTRACE")
        .output()?;
    let code = output.status.code().ok_or("killed")?;
    Ok((
        code,
        String::from_utf8(output.stdout)?,
        String::from_utf8(output.stderr)?,
    ))
}

#[test]
fn what_is_learnt_encodes_texts_and_the_lines_of_files() -> TestResult {
    let folder = TempDir::new()?;
    let at = folder.path();
    fs::write(at.join("a.txt"), "low lower lowest\n".repeat(20))?;
    fs::write(at.join("b.txt"), "new newer newest\n".repeat(20))?;
    let learn = [
        "train",
        "--kind",
        "bpe",
        "--vocab-size",
        "280",
        "--out",
        "t.json",
        "a.txt",
        "b.txt",
    ];
    let (code, said, errors) = tokenizer(at, &learn)?;
    assert_eq!((code, errors.as_str()), (0, ""));
    let learnt: serde_json::Value = serde_json::from_str(&said)?;
    assert_eq!(learnt["out"], "t.json");
    assert!(
        learnt["vocab_size"]
            .as_u64()
            .is_some_and(|size| (258..=280).contains(&size)),
        "{said}"
    );

    fs::write(at.join("lines.txt"), "lower\nnewer\n")?;
    let (code, said, _) = tokenizer(at, &["encode", "t.json", "low", "lines.txt"])?;
    assert_eq!(code, 0);
    let lines: Vec<serde_json::Value> = said
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    assert_eq!(
        lines.iter().map(|line| &line["text"]).collect::<Vec<_>>(),
        ["low", "lower", "newer"]
    );
    assert_eq!(
        lines[0]["ids"].as_array().map(Vec::len),
        Some(1),
        "a frequent word is one token: {said}"
    );
    Ok(())
}

#[test]
fn as_a_model_reads_it_a_text_has_tokens_around_it_and_is_cut() -> TestResult {
    let folder = TempDir::new()?;
    let vocab = serde_json::json!({ "<s>": 0, "</s>": 1, "a": 2, "b": 3, "?": 4 });
    let around = |id: &str| serde_json::json!({ "SpecialToken": { "id": id, "type_id": 0 } });
    let text = serde_json::json!({ "Sequence": { "id": "A", "type_id": 0 } });
    let special = |id: &str, number: u32| {
        let token = serde_json::json!({ "id": id, "ids": [number], "tokens": [id] });
        (id.to_owned(), token)
    };
    let special = [special("<s>", 0), special("</s>", 1)].into_iter();
    let special: serde_json::Map<_, _> = special.collect();
    let json = serde_json::json!({
        "version": "1.0", "added_tokens": [],
        "pre_tokenizer": { "type": "WhitespaceSplit" },
        "post_processor": {
            "type": "TemplateProcessing", "single": [around("<s>"), text, around("</s>")],
            "pair": [], "special_tokens": special,
        },
        "model": { "type": "WordLevel", "vocab": vocab, "unk_token": "?" },
    });
    fs::write(folder.path().join("t.json"), json.to_string())?;
    for (options, ids) in [
        (&[][..], "[2,3,2]"),
        (&["--max-len", "9"], "[0,2,3,2,1]"),
        (&["--max-len", "4"], "[0,2,3,1]"),
    ] {
        let encode = [&["encode", "t.json", "a b a"], options].concat();
        let (code, said, errors) = tokenizer(folder.path(), &encode)?;
        assert_eq!((code, errors.as_str()), (0, ""));
        assert!(said.contains(&format!("\"ids\":{ids}")), "{said}");
    }
    let (code, ..) = tokenizer(folder.path(), &["encode", "t.json", "--max-len", "0", "a"])?;
    assert_eq!(code, 2);
    Ok(())
}

#[test]
fn a_file_that_cannot_be_used_is_named_and_nothing_is_written() -> TestResult {
    let folder = TempDir::new()?;
    let at = folder.path();
    fs::write(at.join("empty.txt"), "")?;
    fs::write(at.join("latin.txt"), b"caf\xe9\n")?;
    fs::write(at.join("damaged.json"), "{\"model\": {")?;
    let learn = [
        "train",
        "--kind",
        "words",
        "--vocab-size",
        "50",
        "--out",
        "t.json",
    ];
    for (arguments, place) in [
        ([&learn[..], &["empty.txt"]].concat(), "empty.txt"),
        ([&learn[..], &["latin.txt"]].concat(), "latin.txt:1:4"),
        ([&learn[..], &["missing.txt"]].concat(), "missing.txt"),
        (vec!["encode", "damaged.json", "text"], "damaged.json:1:"),
        (vec!["encode", "missing.json", "text"], "missing.json"),
    ] {
        let (code, said, errors) = tokenizer(at, &arguments)?;
        assert_eq!((code, said.as_str()), (65, ""), "{errors}");
        assert!(errors.starts_with(&format!("error: {place}")), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(!at.join("t.json").exists());
    }
    Ok(())
}
