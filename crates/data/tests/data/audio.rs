//! Sound as its users meet it: from files on disk to batches of frames.

use std::collections::BTreeSet;

use attn_core::Pattern;
use data::audio::{Asked, AudioData, AudioDataConfig};
use data::{Batch, BatchLimit, IGNORED, Input, Loader, Open, Samples, Targets, pass};
use serde_json::{Value, json};

use crate::hostile_audio::{tone, wav};
use crate::{Folder, TestResult};

/// A set of `n` clips of three pitches by two speakers, with a manifest.
fn set(n: usize) -> std::io::Result<Folder> {
    let folder = Folder::new()?;
    let mut manifest = "path,label,text,speaker,split\n".to_owned();
    for i in 0..n {
        let (digit, speaker) = (i % 3, ["ann", "bob"][i / 3 % 2]);
        let name = format!("clips/{digit}_{speaker}_{i}.wav");
        let pitch = 0.2 + 0.5 * digit as f64;
        folder.write(&name, wav(8000, 1, &tone(1000 + 37 * i, pitch)))?;
        let split = if i % 5 == 4 { "test" } else { "train" };
        manifest += &format!("{name},{digit},{digit},{speaker},{split}\n");
    }
    folder.write("manifest.csv", manifest)?;
    Ok(folder)
}

fn config(folder: &Folder, mut table: Value) -> Result<AudioDataConfig, serde_json::Error> {
    if table["path"].is_null() {
        table["path"] = folder.path("manifest.csv").to_string_lossy().into();
    }
    table["sample_rate"] = 8000.into();
    serde_json::from_value(table)
}

fn open(
    folder: &Folder,
    asked: Asked,
    table: Value,
) -> Result<AudioData, Box<dyn std::error::Error>> {
    let open = Open {
        seed: 3,
        ..Open::default()
    };
    Ok(AudioData::open(&config(folder, table)?, asked, &open)?)
}

fn frames(batch: &Batch) -> (&[f32], usize) {
    match &batch.input {
        Input::Frames(rows) => (rows.values(), rows.width()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_manifest_says_what_is_trained_on_and_what_is_tested() -> TestResult {
    let folder = set(30)?;
    let data = open(&folder, Asked::Class, json!({"val_fraction": 0.25}))?;
    assert_eq!(data.labels(), ["0", "1", "2"]);
    assert_eq!(data.width(), 40);
    let (train, val) = (data.train(), data.val().ok_or("no val")?);
    let test = data.test()?.ok_or("no test")?;
    assert_eq!((train.len(), val.len(), test.len()), (18, 6, 6));

    let batch = pass(&*test, &Pattern::Full, 10)
        .next()
        .ok_or("no batch")??;
    let (values, width) = frames(&batch);
    // Row 4 of the manifest: 1000 + 37 · 4 samples make 1 + 1148 / 80 frames.
    assert_eq!(batch.mask.cu_seqlens()[..2], [0, 15]);
    assert_eq!(values.len(), batch.mask.n_queries() * width);
    assert_eq!(batch.targets, Targets::Classes([1, 0, 2, 1, 0, 2].into()));
    Ok(())
}

#[test]
fn a_value_of_a_column_can_be_held_out() -> TestResult {
    let folder = set(30)?;
    let table = json!({"hold_out": {"column": "speaker", "test": ["bob"]}, "val_fraction": 0.0});
    let data = open(&folder, Asked::Class, table)?;
    assert_eq!(data.train().len(), 15);
    assert_eq!(data.test()?.ok_or("no test")?.len(), 15);
    assert!(data.val().is_none());
    let table = json!({"hold_out": {"column": "label", "val": ["2"]}});
    let error = open(&folder, Asked::Class, table).unwrap_err().to_string();
    assert!(
        error.contains("label `2` is not one of the classes"),
        "{error}"
    );
    Ok(())
}

#[test]
fn folders_manifests_and_offsets_give_the_same_clip() -> TestResult {
    let folder = Folder::new()?;
    let (a, b) = (tone(1600, 0.3), tone(2400, 0.9));
    folder.write("set/a/1.wav", wav(8000, 1, &a))?;
    folder.write("set/b/1.wav", wav(8000, 1, &b))?;
    folder.write("long.wav", wav(8000, 1, &[a, b].concat()))?;
    let rows = "{\"path\": \"long.wav\", \"label\": \"a\", \"duration\": 0.2}\n\n\
                {\"path\": \"long.wav\", \"label\": \"b\", \"offset\": \"0.2\"}\n";
    folder.write("m.jsonl", rows)?;
    let mut batches = Vec::new();
    for name in ["set", "m.jsonl"] {
        let path = folder.path(name).to_string_lossy().into_owned();
        let table = json!({"path": path, "val_fraction": 0.0, "features": {"n_mels": 20}});
        let data = open(&folder, Asked::Class, table)?;
        let batch = pass(&*data.train(), &Pattern::Full, 2)
            .next()
            .ok_or("none")??;
        batches.push(batch);
    }
    assert_eq!(batches[0].input, batches[1].input);
    assert_eq!(batches[0].targets, batches[1].targets);
    assert_eq!(batches[0].mask.cu_seqlens()[..], [0, 21, 52]);
    Ok(())
}

#[test]
fn arrays_of_frames_are_read_as_they_are() -> TestResult {
    let folder = Folder::new()?;
    let header = |shape: &str| {
        let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((text.len() as u16).to_le_bytes());
        file.extend(text.as_bytes());
        file
    };
    for (name, shape, values) in [
        ("a.npy", "(2, 3)", vec![0.5f32, 1.0, 2.0, 3.0, 4.0, 5.0]),
        ("b.npy", "(1, 3)", vec![7.0, 8.0, 9.0]),
    ] {
        let mut file = header(shape);
        file.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        folder.write(name, file)?;
    }
    folder.write("manifest.csv", "path,label\na.npy,x\nb.npy,y\n")?;
    let data = open(&folder, Asked::Class, json!({"val_fraction": 0.0}))?;
    let batch = pass(&*data.train(), &Pattern::Full, 2)
        .next()
        .ok_or("none")??;
    assert_eq!(
        frames(&batch),
        (&[0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 8.0, 9.0][..], 3)
    );
    let joined = json!({"join": {"clips": [1, 2], "strings": 3}});
    let error = open(&folder, Asked::Class, joined).unwrap_err().to_string();
    assert!(error.contains("data.join needs sound"), "{error}");
    let training = json!({"features": {"normalize": "training"}, "val_fraction": 0.0});
    let error = open(&folder, Asked::Class, training).unwrap_err();
    assert!(
        error.to_string().contains("is for sound, not for arrays"),
        "{error}"
    );
    Ok(())
}

#[test]
fn training_hears_something_else_in_every_epoch_and_the_same_again() -> TestResult {
    let folder = set(12)?;
    let augment = json!({
        "gain_db": 6.0, "shift_ms": 10.0, "speed": 0.1, "noise_db": [10, 30],
        "time_masks": 1, "freq_masks": 1
    });
    let data = open(
        &folder,
        Asked::Class,
        json!({"augment": augment, "val_fraction": 0.25}),
    )?;
    let again = open(
        &folder,
        Asked::Class,
        json!({"augment": augment, "val_fraction": 0.25}),
    )?;
    assert_eq!(data.fingerprint(), again.fingerprint());
    let loader = |data: &AudioData| Loader::shuffled(data.train(), Pattern::Full, 4, 9);
    let n = data.train().len();
    let (first, second) = (loader(&data).batch(n)?, loader(&again).batch(n)?);
    assert_eq!(first.input, second.input);
    let sample = |epoch| data::Sample { epoch, index: 2 };
    let train = data.train();
    let hear = |epoch| {
        train
            .pack(&[sample(epoch)], &Pattern::Full)
            .map(|batch| batch.input)
    };
    assert_ne!(hear(0)?, hear(1)?);
    let val = data.val().ok_or("no val")?;
    let hear = |epoch| val.pack(&[data::Sample { epoch, index: 0 }], &Pattern::Full);
    assert_eq!(hear(0)?.input, hear(1)?.input);
    Ok(())
}

#[test]
fn the_training_part_gets_mean_0_and_deviation_1_and_others_the_same_numbers() -> TestResult {
    let folder = set(30)?;
    let table = |kind: &str| {
        json!({
            "val_fraction": 0.25, "features": {"normalize": kind, "n_mels": 12},
            "augment": {"gain_db": 6.0},
        })
    };
    let raw = open(&folder, Asked::Class, table("none"))?;
    let data = open(&folder, Asked::Class, table("training"))?;
    assert!(raw.statistics().is_none());
    let statistics = data.statistics().ok_or("no statistics")?.clone();
    let batch = |part: &dyn Samples| -> Result<(Vec<f64>, usize), Box<dyn std::error::Error>> {
        let batch = pass(part, &Pattern::Full, 1000)
            .next()
            .ok_or("no batch")??;
        let (values, width) = frames(&batch);
        Ok((values.iter().map(|&x| f64::from(x)).collect(), width))
    };
    // Without augmentation the training part is what the statistics are of.
    let mut plain = table("training");
    plain["augment"] = json!({});
    let plain = open(&folder, Asked::Class, plain)?;
    assert_eq!(plain.statistics(), Some(&statistics));
    let (values, width) = batch(&*plain.train())?;
    for column in 0..width {
        let x: Vec<f64> = values.iter().skip(column).step_by(width).copied().collect();
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let deviation = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        assert!(mean.abs() < 1e-5, "column {column}: mean {mean}");
        assert!(
            (deviation - 1.0).abs() < 1e-5,
            "column {column}: {deviation}"
        );
    }
    // The validation part is shifted and scaled alike: the same line in every value.
    let (val, raw_val) = (data.val().ok_or("no val")?, raw.val().ok_or("no val")?);
    let ((values, _), (raw_values, _)) = (batch(&*val)?, batch(&*raw_val)?);
    let numbers = serde_json::to_value(&statistics)?;
    for (i, (x, raw)) in values.iter().zip(&raw_values).enumerate() {
        let number = |key: &str| numbers[key][i % width].as_f64().unwrap_or(f64::NAN);
        let want = (raw - number("mean")) / number("deviation");
        assert!((x - want).abs() < 1e-4, "{x} {want}");
    }
    // Given those of a model, other clips change nothing.
    let other = set(9)?;
    let given = Open {
        seed: 3,
        features: Some(statistics.clone()),
        ..Open::default()
    };
    let config_of = |table| config(&other, table);
    let data = AudioData::open(&config_of(table("training"))?, Asked::Class, &given)?;
    assert_eq!(data.statistics(), Some(&statistics));
    let own = open(&other, Asked::Class, table("training"))?;
    assert_ne!(own.statistics(), Some(&statistics));
    let mut wide = table("training");
    wide["features"]["n_mels"] = 13.into();
    let error = AudioData::open(&config_of(wide)?, Asked::Class, &given).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("means of 12 features, but frames have 13"),
        "{error}"
    );
    Ok(())
}

#[test]
fn segments_label_the_frames_they_cover() -> TestResult {
    let folder = Folder::new()?;
    // 0.4 s at 8 kHz; with a hop of 400 samples frames stand at 0, 0.05, ..., 0.4 s.
    folder.write("a.wav", wav(8000, 1, &tone(3200, 0.3)))?;
    let table = || {
        json!({
            "path": folder.path("m.jsonl"), "val_fraction": 0.0,
            "features": {"hop": 400, "n_mels": 12},
        })
    };
    let manifest = |segments: &str| {
        let line = format!(r#"{{"path": "a.wav", "label": "all", "segments": {segments}}}"#);
        let other = r#"{"path": "a.wav", "label": "whole"}"#;
        folder.write("m.jsonl", format!("{other}\n{line}\n"))
    };
    let classes = |data: &AudioData, epoch| -> Result<Vec<u32>, Box<dyn std::error::Error>> {
        let sample = data::Sample { epoch, index: 1 };
        match data.train().pack(&[sample], &Pattern::Full)?.targets {
            Targets::Classes(classes) => Ok(classes.to_vec()),
            other => Err(format!("{other:?}").into()),
        }
    };
    // In any order; the last frame stands at the end of the clip.
    manifest(
        r#"[{"start": 0.3, "end": 0.4, "label": "b"}, {"start": 0.05, "end": 0.15, "label": "a"}]"#,
    )?;
    let data = open(&folder, Asked::Frames, table())?;
    assert_eq!(data.labels(), ["a", "b", "whole"]);
    let no = IGNORED;
    assert_eq!(classes(&data, 0)?, [no, 0, 0, no, no, no, 1, 1, 1]);
    // Where a clip is asked about as a whole, it is its label that counts.
    let whole = open(&folder, Asked::Class, table())?;
    assert_eq!(whole.labels(), ["all", "whole"]);
    // Moved sound takes its labels along: by up to 0.1 s, two frames.
    let mut moved = table();
    moved["augment"] = json!({"shift_ms": 100.0});
    let moved = open(&folder, Asked::Frames, moved)?;
    let mut starts = BTreeSet::new();
    for epoch in 0..40 {
        let classes = classes(&moved, epoch)?;
        let first_b = classes.iter().position(|&class| class == 1).ok_or("no b")?;
        starts.insert(first_b);
        if let Some(last_a) = classes.iter().rposition(|&class| class == 0) {
            assert_eq!(first_b - last_a, 4, "{classes:?}");
        }
    }
    assert_eq!(starts, BTreeSet::from([5, 6, 7, 8]));

    for (segments, fault) in [
        (
            r#"[{"start": 0.3, "end": 0.1, "label": "a"}]"#,
            "m.jsonl:2: segments[0] begins at 0.3 s and ends at 0.1 s; let it end after",
        ),
        (
            r#"[{"start": -1, "end": 0.1, "label": "a"}]"#,
            "segments[0] begins at -1 s",
        ),
        (
            r#"[{"start": 0.2, "end": 0.3, "label": "a"}, {"start": 0, "end": 0.25, "label": "b"}]"#,
            "m.jsonl:2: segments[0] begins at 0.2 s, before segments[1] ends at 0.25 s; let one end",
        ),
        (
            r#"[{"start": 0.2, "end": 0.5, "label": "a"}]"#,
            "m.jsonl:2: a segment ends at 0.5 s, but the clip lasts 0.400 s; mend",
        ),
        (
            r#"[{"start": 0.2, "stop": 0.5, "label": "a"}]"#,
            "segments[0]: unknown field `stop`",
        ),
        (r#"["a"]"#, "segments[0]: invalid type"),
        (r#"{"start": 0.2}"#, "`segments` is not a list; write [{"),
        ("[]", "`segments` is empty; list at least one"),
    ] {
        manifest(segments)?;
        let error = open(&folder, Asked::Frames, table())
            .err()
            .ok_or(segments)?;
        assert!(error.to_string().contains(fault), "{error}");
    }
    // A class that a model does not know.
    manifest(r#"[{"start": 0.2, "end": 0.3, "label": "c"}]"#)?;
    let known = Open {
        labels: Some(vec!["a".into(), "whole".into()]),
        ..Open::default()
    };
    let error = AudioData::open(&config(&folder, table())?, Asked::Frames, &known).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("m.jsonl:2: label `c` is not one of the classes"),
        "{error}"
    );
    Ok(())
}

#[test]
fn joined_clips_spell_their_labels_and_stay_with_their_speaker() -> TestResult {
    let folder = set(30)?;
    let join = json!({"clips": [2, 4], "strings": 40, "eval_strings": 10, "column": "speaker", "gap_ms": [0, 30]});
    let hold_out = json!({"column": "speaker", "test": ["bob"]});
    let table = json!({"join": join, "hold_out": hold_out, "val_fraction": 0.2});
    let data = open(&folder, Asked::Text, table.clone())?;
    assert_eq!(data.labels(), ["0", "1", "2"]);
    let (train, test) = (data.train(), data.test()?.ok_or("no test")?);
    assert_eq!((train.len(), test.len()), (40, 10));
    let mut lengths = BTreeSet::new();
    for (index, batch) in pass(&*train, &Pattern::Full, 1).enumerate() {
        let batch = batch?;
        let Targets::Sequences { labels, ends } = &batch.targets else {
            return Err("no sequences".into());
        };
        assert_eq!(ends[..], [labels.len() as u32]);
        lengths.insert(labels.len());
        let sample = data::Sample {
            epoch: 0,
            index: index as u64,
        };
        assert_eq!(train.n_rows(sample), Some(batch.n_positions()));
    }
    assert_eq!(lengths, BTreeSet::from([2, 3, 4]));

    let frames = open(&folder, Asked::Frames, table)?;
    let batch = pass(&*frames.train(), &Pattern::Full, 1)
        .next()
        .ok_or("none")??;
    let Targets::Classes(classes) = &batch.targets else {
        return Err("no classes".into());
    };
    assert_eq!(classes.len(), batch.n_positions());
    let known = classes.iter().filter(|&&class| class != IGNORED).count();
    assert!(
        known * 10 > classes.len() * 8,
        "{known} of {}",
        classes.len()
    );
    Ok(())
}

#[test]
fn generated_sounds_need_no_files() -> TestResult {
    let folder = Folder::new()?;
    let table = json!({"path": "generated", "generated": {"clips": 60, "test_clips": 12}});
    let data = open(&folder, Asked::Class, table)?;
    assert_eq!(data.labels().len(), 6);
    assert_eq!(data.train().len(), 54);
    assert_eq!(data.test()?.ok_or("no test")?.len(), 12);
    Ok(())
}

#[test]
fn batches_can_be_filled_by_frames() -> TestResult {
    let folder = set(30)?;
    let data = open(&folder, Asked::Class, json!({"val_fraction": 0.0}))?;
    let loader = {
        let limit = BatchLimit {
            samples: 1000,
            rows: Some(80),
        };
        Loader::shuffled(data.train(), Pattern::Full, 1, 5).bucketed(limit, true)
    };
    let (mut position, mut seen) = (0, 0);
    while position < data.train().len() {
        let batch = loader.batch(position)?;
        assert!(batch.n_positions() <= 80);
        position = loader.next(position);
        seen += batch.mask.cu_seqlens().len() - 1;
    }
    assert_eq!(seen as u64, data.train().len());
    Ok(())
}
