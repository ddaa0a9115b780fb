//! Text for a language model: windows, validation, cache.

use std::path::Path;

use attn_core::Pattern;
use data::Open;
use data::text::LanguageData;
use data::{Batch, Input, Loader, Prefetch, Targets, pass};
use proptest::prelude::*;
use serde_json::json;

use crate::{Folder, TestResult, prose};

fn tokens(batch: &Batch) -> &[u32] {
    match &batch.input {
        Input::Tokens(tokens) => tokens,
        _ => &[],
    }
}

fn classes(batch: &Batch) -> &[u32] {
    match &batch.targets {
        Targets::Classes(classes) => classes,
        _ => &[],
    }
}

fn embedded(
    text: &str,
    seq_len: usize,
    val_fraction: f64,
    seed: u64,
) -> data::Result<LanguageData> {
    let table = json!({
        "path": "embedded", "seq_len": seq_len, "val_fraction": val_fraction, "tokenizer": "bytes",
    });
    let config = serde_json::from_value(table).expect("a sound table");
    LanguageData::open(
        &config,
        &Open {
            embedded: Some(text),
            seed,
            ..Open::default()
        },
    )
}

/// A text whose every byte says where it is.
fn counting(n: usize) -> String {
    (0..n).map(|i| char::from(32 + (i % 90) as u8)).collect()
}

proptest! {
    #[test]
    fn validation_predicts_every_token_exactly_once(n in 40usize..400, seq_len in 1usize..20, batch in 1usize..5) {
        let text = counting(n);
        let data = embedded(&text, seq_len, 0.5, 0).unwrap();
        let start = data.n_train_tokens() as usize;
        prop_assert_eq!(start + data.n_val_tokens() as usize, n);
        let (mut read, mut predicted) = (Vec::new(), Vec::new());
        for batch in pass(&*data.val().unwrap(), &Pattern::Causal, batch) {
            let batch = batch.unwrap();
            read.extend_from_slice(tokens(&batch));
            predicted.extend_from_slice(classes(&batch));
            let lens: Vec<_> = batch.mask.cu_seqlens().windows(2).map(|w| w[1] - w[0]).collect();
            prop_assert!(lens.iter().all(|&len| 1 <= len && len as usize <= seq_len));
        }
        let val: Vec<u32> = text.bytes().skip(start).map(u32::from).collect();
        prop_assert_eq!(&read[..], &val[..val.len() - 1]);
        prop_assert_eq!(&predicted[..], &val[1..]);
    }

    #[test]
    fn training_windows_of_an_epoch_do_not_overlap(n in 30usize..300, seq_len in 1usize..20, seed: u64, epoch in 0u64..50) {
        prop_assume!(n > seq_len);
        let text = counting(n);
        let data = embedded(&text, seq_len, 0.0, seed).unwrap();
        let train = data.train();
        let loader = Loader::shuffled(train.clone(), Pattern::Causal, train.len() as usize, seed);
        let batch = loader.batch(epoch * train.len()).unwrap();
        // Put back in order, the windows are one stretch of the text, without gaps.
        let order: Vec<_> = loader.visited(epoch * train.len());
        let mut sorted: Vec<_> = order.iter().map(|s| s.index).zip(tokens(&batch).chunks(seq_len)).collect();
        sorted.sort();
        let stretch: Vec<u8> = sorted.iter().flat_map(|(_, w)| w.iter().map(|&t| t as u8)).collect();
        let whole = text.as_bytes();
        let phase = (0..seq_len).find(|&phase| whole[phase..].starts_with(&stretch));
        prop_assert!(phase.is_some(), "{:?}", stretch);
        // Less than two windows of the text are left out.
        prop_assert!(stretch.len() + 2 * seq_len > n - 1);
        // A target is the next token.
        for (window, targets) in tokens(&batch).chunks(seq_len).zip(classes(&batch).chunks(seq_len)) {
            prop_assert_eq!(&window[1..], &targets[..seq_len - 1]);
        }
    }
}

#[test]
fn phases_move_from_epoch_to_epoch() -> TestResult {
    let data = embedded(&counting(1000), 16, 0.0, 1)?;
    let train = data.train();
    let firsts: std::collections::BTreeSet<u32> = (0..40)
        .map(|epoch| {
            let sample = data::Sample { epoch, index: 0 };
            train
                .pack(&[sample], &Pattern::Causal)
                .map(|batch| tokens(&batch)[0])
        })
        .collect::<Result<_, _>>()?;
    assert!(firsts.len() > 10, "{firsts:?}");
    Ok(())
}

#[test]
fn the_split_is_that_of_nanogpt() -> TestResult {
    let data = embedded(&counting(1_115_394), 64, 0.1, 0)?;
    assert_eq!(
        (data.n_train_tokens(), data.n_val_tokens()),
        (1_003_854, 111_540)
    );
    Ok(())
}

#[test]
fn a_thread_in_front_changes_nothing() -> TestResult {
    let data = embedded(&counting(500), 8, 0.1, 3)?;
    let loader = Loader::shuffled(data.train(), Pattern::Causal, 5, 3);
    for (step, ahead) in Prefetch::new(loader.clone(), 10, 2)?.take(40).enumerate() {
        let ahead = ahead?;
        let plain = loader.batch(10 + 5 * step as u64)?;
        assert_eq!(ahead.input, plain.input);
        assert_eq!(ahead.targets, plain.targets);
        assert_eq!(ahead.mask.cu_seqlens(), plain.mask.cu_seqlens());
    }
    Ok(())
}

#[test]
fn text_shorter_than_a_window_is_refused() {
    for (n, val_fraction, split) in [(8, 0.0, "training"), (40, 0.1, "validation")] {
        let error = embedded(&counting(n), 8, val_fraction, 0)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("embedded: the {split} text has ")),
            "{error}"
        );
    }
    assert!(embedded(&counting(9), 8, 0.0, 0).is_ok());
}

#[test]
fn the_cache_gives_the_same_batches_and_heals() -> TestResult {
    let folder = Folder::new()?;
    let path = folder.write("a.txt", prose(3000, 1))?;
    for tokenizer in [
        json!("chars"),
        json!("bytes"),
        json!({"train": {"kind": "bpe", "vocab_size": 350}}),
    ] {
        let config = folder.config(&path, json!({"seq_len": 32, "tokenizer": tokenizer}))?;
        let batches = || -> data::Result<Vec<_>> {
            let data = LanguageData::open(&config, &Open::default())?;
            let loader = Loader::shuffled(data.train(), Pattern::Causal, 4, 0);
            (0..20)
                .map(|step| loader.batch(step * 4).map(|batch| batch.input))
                .collect()
        };
        let fresh = batches()?;
        let cached = cache_files(&folder)?;
        assert_eq!(cached.len(), 1);
        assert_eq!(batches()?, fresh, "from the cache");

        let mut bytes = std::fs::read(&cached[0])?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x40;
        std::fs::write(&cached[0], &bytes)?;
        assert_eq!(batches()?, fresh, "from a damaged cache");
        bytes.truncate(middle);
        std::fs::write(&cached[0], &bytes)?;
        assert_eq!(batches()?, fresh, "from a cache cut short");
        assert_eq!(cache_files(&folder)?, cached);
        std::fs::remove_dir_all(folder.path("cache"))?;
    }
    Ok(())
}

#[test]
fn a_cache_that_cannot_be_written_is_done_without() -> TestResult {
    let folder = Folder::new()?;
    let path = folder.write("a.txt", prose(300, 1))?;
    folder.write("cache", "a file where the folder should be")?;
    let config = folder.config(&path, json!({"seq_len": 32}))?;
    assert!(LanguageData::open(&config, &Open::default())?.n_train_tokens() > 1000);
    Ok(())
}

#[test]
fn changed_text_is_encoded_again() -> TestResult {
    let folder = Folder::new()?;
    let path = folder.write("a.txt", "aaaa bbbb ".repeat(20))?;
    let config = folder.config(&path, json!({"seq_len": 4}))?;
    let before = LanguageData::open(&config, &Open::default())?;
    folder.write("a.txt", "aaaa bbba ".repeat(20))?;
    let after = LanguageData::open(&config, &Open::default())?;
    assert_ne!(before.fingerprint(), after.fingerprint());
    assert_eq!(cache_files(&folder)?.len(), 2);
    Ok(())
}

#[test]
fn documents_are_joined_by_a_line_end_or_the_end_of_text() -> TestResult {
    let folder = Folder::new()?;
    folder.write("texts/b.txt", "second")?;
    folder.write("texts/a.txt", "first")?;
    folder.write(
        "texts/sub/c.jsonl",
        "{\"text\": \"third\\n\"}\n\n{\"text\": \"fourth\"}\n",
    )?;
    folder.write("texts/.hidden", "never read")?;
    let joined =
        |path: &Path, tokenizer: serde_json::Value| -> Result<_, Box<dyn std::error::Error>> {
            let config = folder.config(
                path,
                json!({"seq_len": 1, "val_fraction": 0.0, "tokenizer": tokenizer}),
            )?;
            let data = LanguageData::open(&config, &Open::default())?;
            Ok(data)
        };
    let whole = "first\nsecond\nthird\nfourth";
    let all = |data: &LanguageData| -> data::Result<String> {
        let mut ids = Vec::new();
        for index in 0..data.n_train_tokens() - 1 {
            let batch = data
                .train()
                .pack(&[data::Sample { epoch: 0, index }], &Pattern::Causal)?;
            ids.extend_from_slice(tokens(&batch));
            if index == data.n_train_tokens() - 2 {
                ids.extend_from_slice(classes(&batch));
            }
        }
        data.tokenizer().decode(&ids)
    };
    for path in ["texts", "texts/**/*.*"] {
        for tokenizer in ["chars", "bytes"] {
            assert_eq!(all(&joined(&folder.path(path), tokenizer.into())?)?, whole);
        }
    }
    let bpe = joined(
        &folder.path("texts"),
        json!({"train": {"kind": "bpe", "vocab_size": 300}}),
    )?;
    let end = bpe.tokenizer().end_of_text();
    assert!(end.is_some());
    assert_eq!(
        all(&bpe)?,
        "firstsecondthird\nfourth",
        "end-of-text is not written"
    );
    Ok(())
}

#[test]
fn marks_and_line_ends_of_other_systems_are_read_alike() -> TestResult {
    let folder = Folder::new()?;
    let lines = "one\ntwo\n\nthree\n".repeat(20_000);
    let unix = folder.write("unix.txt", &lines)?;
    let dos = folder.write(
        "dos.txt",
        format!("\u{FEFF}{}", lines.replace('\n', "\r\n")),
    )?;
    let open = |path: &Path| -> Result<_, Box<dyn std::error::Error>> {
        let config = folder.config(path, json!({"seq_len": 100}))?;
        Ok(LanguageData::open(&config, &Open::default())?)
    };
    let (unix, dos) = (open(&unix)?, open(&dos)?);
    assert_eq!(unix.tokenizer(), dos.tokenizer());
    assert_eq!(unix.n_train_tokens(), dos.n_train_tokens());
    let sample = [data::Sample {
        epoch: 3,
        index: 700,
    }];
    assert_eq!(
        unix.train().pack(&sample, &Pattern::Causal)?.input,
        dos.train().pack(&sample, &Pattern::Causal)?.input,
    );
    Ok(())
}

#[test]
fn validation_and_test_may_have_files_of_their_own() -> TestResult {
    let folder = Folder::new()?;
    let path = folder.write("train.txt", "abcdefgh ".repeat(10))?;
    let val = folder.write("val.txt", "hgfedcba ".repeat(3))?;
    let test = folder.write("test.txt", "abc abc abc ")?;
    let config = folder.config(&path, json!({"seq_len": 4, "val": val, "test": test}))?;
    let data = LanguageData::open(&config, &Open::default())?;
    assert_eq!((data.n_train_tokens(), data.n_val_tokens()), (90, 27));
    let test = data.test()?.ok_or("no test")?;
    assert_eq!(test.len(), 3);

    folder.write("val.txt", "abc\nxyz")?;
    let error = LanguageData::open(&config, &Open::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("val.txt:1:4: character '\\n'"), "{error}");
    Ok(())
}

fn cache_files(folder: &Folder) -> std::io::Result<Vec<std::path::PathBuf>> {
    let mut files: Vec<_> = std::fs::read_dir(folder.path("cache"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    Ok(files)
}
