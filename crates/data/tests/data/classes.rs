//! Texts with labels.

use attn_core::Pattern;
use data::Open;
use data::text::ClassData;
use data::{Input, Targets, pass};
use serde_json::json;

use crate::{Folder, TestResult};

fn jsonl(n: usize) -> String {
    (0..n)
        .map(|i| {
            format!(
                "{{\"text\": \"text {i}\", \"label\": \"{}\"}}\n",
                ["b", "a", "b"][i % 3]
            )
        })
        .collect()
}

#[test]
fn every_format_gives_the_same_examples() -> TestResult {
    let folder = Folder::new()?;
    let files = [
        (
            "a.jsonl",
            "{\"text\": \"one, two\", \"label\": \"x\"}\r\n{\"label\": \"y\", \"text\": \"three\"}",
        ),
        (
            "a.csv",
            "\u{FEFF}label,other,text\nx,1,\"one, two\"\r\ny,2,three\n",
        ),
        ("a.tsv", "text\tlabel\none, two\tx\nthree\ty\n"),
        (
            "a.tab",
            "Category\tText\nd\tstring\nclass\t\nx\tone, two\ny\tthree\n",
        ),
    ];
    for (name, content) in files {
        let path = folder.write(name, content)?;
        let config = folder.config(
            &path,
            json!({"tokenizer": "bytes", "val_fraction": 0.0, "seq_len": 7}),
        )?;
        let data = ClassData::open(&config, &Open::default())?;
        assert_eq!(data.labels(), ["x", "y"], "{name}");
        let mut batches =
            pass(&*data.train(), &Pattern::Full, 8).collect::<data::Result<Vec<_>>>()?;
        let batch = batches.pop().ok_or("no batch")?;
        let expected: Vec<u32> = "one, twthree".bytes().map(u32::from).collect();
        assert_eq!(batch.input, Input::Tokens(expected.into()), "{name}");
        assert_eq!(
            &batch.mask.cu_seqlens()[..],
            [0, 7, 12],
            "{name}: cut after seq_len tokens"
        );
        assert_eq!(batch.targets, Targets::Classes([0, 1].into()), "{name}");
    }
    Ok(())
}

#[test]
fn held_out_examples_are_picked_by_the_seed_and_lost_by_none() -> TestResult {
    let folder = Folder::new()?;
    let path = folder.write("a.jsonl", jsonl(60))?;
    let config = folder.config(&path, json!({"tokenizer": "bytes", "val_fraction": 0.25}))?;
    let texts = |seed| -> Result<_, Box<dyn std::error::Error>> {
        let data = ClassData::open(
            &config,
            &Open {
                seed,
                ..Open::default()
            },
        )?;
        let mut parts = Vec::new();
        for samples in [Some(data.train()), data.val()].into_iter().flatten() {
            let mut part = Vec::new();
            for batch in pass(&*samples, &Pattern::Full, 1) {
                let Input::Tokens(ids) = batch?.input else {
                    continue;
                };
                part.push(data.tokenizer().decode(&ids)?);
            }
            parts.push(part);
        }
        Ok(parts)
    };
    let parts = texts(0)?;
    assert_eq!((parts[0].len(), parts[1].len()), (45, 15));
    let mut all = parts.concat();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 60);
    assert_eq!(texts(0)?, parts);
    assert_ne!(texts(1)?[1], parts[1]);
    Ok(())
}

#[test]
fn characters_never_seen_are_the_unknown_token() -> TestResult {
    let folder = Folder::new()?;
    let path = folder.write("a.jsonl", jsonl(9))?;
    let test = folder.write("test.jsonl", "{\"text\": \"é 1\", \"label\": \"a\"}")?;
    let config = folder.config(&path, json!({"test": test}))?;
    let data = ClassData::open(&config, &Open::default())?;
    let test = data.test()?.ok_or("no test")?;
    for batch in pass(&*test, &Pattern::Full, 1) {
        let Input::Tokens(ids) = batch?.input else {
            continue;
        };
        assert_eq!(data.tokenizer().decode(&ids)?, "[UNK] 1");
    }
    Ok(())
}

#[test]
fn the_classes_of_a_model_keep_their_order() -> TestResult {
    let folder = Folder::new()?;
    let path = folder.write("a.jsonl", jsonl(9))?;
    let config = folder.config(&path, json!({"val_fraction": 0.0}))?;
    let labels = Some(vec!["c".to_string(), "b".to_string(), "a".to_string()]);
    let data = ClassData::open(
        &config,
        &Open {
            labels,
            ..Open::default()
        },
    )?;
    let train = data.train();
    let mut batches = pass(&*train, &Pattern::Full, 3);
    let batch = batches.next().ok_or("no batch")??;
    assert_eq!(batch.targets, Targets::Classes([1, 2, 1].into()));
    Ok(())
}
