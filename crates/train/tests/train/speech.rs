//! Models of sound, from the command line: trained, measured, asked about files.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::command::train;
use crate::tiny_run::TestResult;

pub(crate) const CONFIG: &str = "\
[run]
name = 'tiny'
[data]
path = 'generated'
sample_rate = 8000
max_seconds = 0.7
generated = { clips = 60, test_clips = 12 }
features = { n_mels = 12 }
augment = { gain_db = 3.0, time_masks = 1, time_mask = 4 }
[model]
kind = 'speech-classifier'
d_model = 16
n_heads = 2
n_layers = 1
mask = { band = { left = 4, right = 4 } }
speech = { window = 3, stride = 2 }
[train]
steps = 8
batch_size = 6
lr = 1e-3
log_every = 1
[checkpoint]
every = 4
";

/// A WAV file of 16-bit samples at 8 kHz.
pub(crate) fn wav(samples: &[i16]) -> Vec<u8> {
    let bytes = 2 * samples.len() as u32;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + bytes).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(8000u32.to_le_bytes());
    file.extend(16000u32.to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend(bytes.to_le_bytes());
    file.extend(samples.iter().flat_map(|x| x.to_le_bytes()));
    file
}

pub(crate) fn tone(n: usize, pitch: f64) -> Vec<i16> {
    (0..n)
        .map(|i| (8000.0 * (i as f64 * pitch).sin()) as i16)
        .collect()
}

#[test]
fn a_model_of_sound_is_trained_measured_and_asked() -> TestResult {
    let folder = TempDir::new()?;
    let path = folder.path();
    fs::write(path.join("c.toml"), CONFIG)?;
    let (code, _, errors) = train(path, &["fit", "c.toml", "--out", "run", "--quiet"])?;
    assert_eq!((code, errors.as_str()), (0, ""));
    let metrics = fs::read_to_string(path.join("run/metrics.jsonl"))?;
    let last: Value = serde_json::from_str(metrics.lines().last().ok_or("no metrics")?)?;
    assert_eq!(last["split"], "test");
    assert!(last["accuracy"].is_number(), "{last}");

    let (code, out, _) = train(path, &["evaluate", "run", "--split", "test", "--quiet"])?;
    let measured: Value = serde_json::from_str(&out)?;
    assert_eq!((code, &measured["accuracy"]), (0, &last["accuracy"]));

    fs::write(path.join("tone.wav"), wav(&tone(3000, 0.4)))?;
    fs::write(path.join("not.wav"), "no sound")?;
    fs::write(path.join("short.wav"), wav(&tone(20, 0.4)))?;
    let (code, out, _) = train(path, &["predict", "run", "tone.wav"])?;
    let said: Value = serde_json::from_str(&out)?;
    let sum: f64 = said["probabilities"]
        .as_object()
        .ok_or("no probabilities")?
        .values()
        .filter_map(Value::as_f64)
        .sum();
    assert_eq!(code, 0);
    assert!((sum - 1.0).abs() < 1e-9, "{said}");
    for (file, fault) in [
        ("not.wav", "not.wav: not a WAV, FLAC, OGG or MP3 file"),
        ("short.wav", "shorter than one frame"),
    ] {
        let (code, _, errors) = train(path, &["predict", "run", file])?;
        assert_eq!((code, errors.lines().count()), (65, 1), "{errors}");
        assert!(errors.contains(fault), "{errors}");
    }
    Ok(())
}

#[test]
fn a_run_on_sound_that_was_stopped_ends_as_one_that_was_not() -> TestResult {
    let folder = TempDir::new()?;
    let path = folder.path();
    let bucketed = CONFIG.replace(
        "batch_size = 6",
        "batch_size = 6\nbatch_tokens = 200\nbucket = true",
    );
    for (name, config) in [("plain", CONFIG), ("bucketed", bucketed.as_str())] {
        fs::write(path.join("c.toml"), config)?;
        let whole = format!("{name}-whole");
        let (code, _, errors) = train(path, &["fit", "c.toml", "--out", &whole, "--quiet"])?;
        assert_eq!((code, errors.as_str()), (0, ""));
        // As if it had been stopped after its first checkpoint.
        let part = format!("{name}-part");
        let (code, ..) = train(path, &["fit", "c.toml", "--out", &part, "--quiet"])?;
        assert_eq!(code, 0);
        fs::remove_dir_all(path.join(&part).join("checkpoints/step-00000008"))?;
        fs::remove_dir_all(path.join(&part).join("model"))?;
        let resume = ["fit", "c.toml", "--out", &part, "--resume", "--quiet"];
        let (code, _, errors) = train(path, &resume)?;
        assert_eq!((code, errors.as_str()), (0, ""));
        let weights = |run: &str| fs::read(path.join(run).join("model/model.safetensors"));
        assert!(weights(&whole)? == weights(&part)?, "{name}");
    }
    Ok(())
}

#[test]
fn strings_of_clips_are_learnt_and_spelt() -> TestResult {
    let folder = TempDir::new()?;
    let path = folder.path();
    let mut manifest = "path,text,speaker\n".to_owned();
    fs::create_dir(path.join("clips"))?;
    for i in 0..12 {
        let (digit, speaker) = (i % 2, ["ann", "bob", "cy"][i / 2 % 3]);
        let name = format!("clips/{i}.wav");
        fs::write(
            path.join(&name),
            wav(&tone(1500 + 50 * i, [0.2, 0.9][digit])),
        )?;
        manifest += &format!("{name},{digit},{speaker}\n");
    }
    fs::write(path.join("m.csv"), manifest)?;
    let config = CONFIG
        .replace("'generated'", "'m.csv'")
        .replace(
            "generated = { clips = 60, test_clips = 12 }",
            "hold_out = { column = 'speaker', val = ['bob'], test = ['cy'] }\n\
             join = { clips = [2, 3], strings = 20, eval_strings = 5, column = 'speaker' }",
        )
        .replace("speech-classifier", "speech-ctc")
        + "[eval]\nmetric = 'cer'\n";
    fs::write(path.join("c.toml"), config)?;
    let (code, _, errors) = train(path, &["fit", "c.toml", "--out", "run", "--quiet"])?;
    assert_eq!((code, errors.as_str()), (0, ""));
    let metrics = fs::read_to_string(path.join("run/metrics.jsonl"))?;
    let last: Value = serde_json::from_str(metrics.lines().last().ok_or("no metrics")?)?;
    assert!(last["cer"].is_number(), "{last}");
    let (code, out, _) = train(path, &["predict", "run", "clips/0.wav"])?;
    let said: Value = serde_json::from_str(&out)?;
    assert!(code == 0 && said["text"].is_string(), "{said}");
    Ok(())
}

#[test]
fn words_are_counted_where_texts_have_spaces() -> TestResult {
    let folder = TempDir::new()?;
    let path = folder.path();
    let config = CONFIG
        .replace("'generated'", "'m.csv'\nval_fraction = 0.3")
        .replace("generated = { clips = 60, test_clips = 12 }\n", "")
        .replace("speech-classifier", "speech-ctc");
    for (texts, metric, has_words) in [
        (["a b", "b a a"], "wer", true),
        (["ab", "ba"], "cer", false),
        (["ab", "ba"], "wer", false),
    ] {
        let mut manifest = "path,text\n".to_owned();
        for i in 0..6 {
            fs::write(
                path.join(format!("{i}.wav")),
                wav(&tone(3000, 0.2 + 0.1 * i as f64)),
            )?;
            manifest += &format!("{i}.wav,{}\n", texts[i % 2]);
        }
        fs::write(path.join("m.csv"), manifest)?;
        let config = format!("{config}[eval]\nmetric = '{metric}'\n");
        fs::write(path.join("c.toml"), config)?;
        let out = format!("{metric}-{has_words}");
        let (code, _, errors) = train(path, &["fit", "c.toml", "--out", &out, "--quiet"])?;
        if metric == "wer" && !has_words {
            assert_eq!((code, errors.lines().count()), (2, 1), "{errors}");
            assert!(
                errors.contains("no text has a space between words; use \"cer\""),
                "{errors}"
            );
            continue;
        }
        assert_eq!((code, errors.as_str()), (0, ""));
        let (_, out, _) = train(path, &["evaluate", &out, "--quiet"])?;
        let measured: Value = serde_json::from_str(&out)?;
        assert!(measured["cer"].is_number(), "{measured}");
        assert_eq!(measured.get("wer").is_some(), has_words, "{measured}");
    }
    Ok(())
}

#[test]
fn a_run_keeps_the_numbers_by_which_it_normalises() -> TestResult {
    let folder = TempDir::new()?;
    let path = folder.path();
    let config = CONFIG.replace("n_mels = 12", "n_mels = 12, normalize = 'training'");
    fs::write(path.join("c.toml"), config)?;
    let fit = |out: &str, more: &[&str]| -> TestResult {
        let arguments = [&["fit", "c.toml", "--out", out, "--quiet"], more].concat();
        let (code, _, errors) = train(path, &arguments)?;
        assert_eq!((code, errors.as_str()), (0, ""));
        Ok(())
    };
    let weights = |run: &str| fs::read(path.join(run).join("model/model.safetensors"));
    let stop = |run: &str| -> TestResult {
        fs::remove_dir_all(path.join(run).join("checkpoints/step-00000008"))?;
        Ok(fs::remove_dir_all(path.join(run).join("model"))?)
    };
    let numbers = path.join("whole/features.json");
    fit("whole", &[])?;
    let mine: Value = serde_json::from_str(&fs::read_to_string(&numbers)?)?;
    assert_eq!(mine["mean"].as_array().map(Vec::len), Some(12));
    let whole = weights("whole")?;
    stop("whole")?;
    fit("whole", &["--resume"])?;
    assert!(weights("whole")? == whole, "a resumed run ends otherwise");

    fs::write(path.join("tone.wav"), wav(&tone(3000, 0.4)))?;
    let ask = || train(path, &["predict", "whole", "tone.wav"]);
    let measure = || train(path, &["evaluate", "whole", "--split", "test", "--quiet"]);
    let (before, measured) = (ask()?, measure()?);
    assert_eq!((before.0, measured.0), (0, 0));
    let metrics = fs::read_to_string(path.join("whole/metrics.jsonl"))?;
    let last: Value = serde_json::from_str(metrics.lines().last().ok_or("no metrics")?)?;
    let line: Value = serde_json::from_str(&measured.1)?;
    assert_eq!(line["loss"], last["loss"]);

    // Other numbers in the folder of the run are those that it goes on with.
    stop("whole")?;
    let mut other = mine.clone();
    other["mean"][0] = (mine["mean"][0].as_f64().ok_or("no mean")? + 40.0).into();
    fs::write(&numbers, other.to_string())?;
    fit("whole", &["--resume"])?;
    assert!(
        weights("whole")? != whole,
        "the stored numbers are not used"
    );
    assert_ne!(ask()?.1, before.1);
    stop("whole")?;
    fs::write(&numbers, "{}")?;
    let arguments = ["fit", "c.toml", "--out", "whole", "--resume", "--quiet"];
    let (code, _, errors) = train(path, &arguments)?;
    assert_eq!((code, errors.lines().count()), (65, 1), "{errors}");
    assert!(
        errors.contains("features.json") && errors.contains("remove it"),
        "{errors}"
    );
    Ok(())
}

#[test]
fn convolutions_stand_before_the_layers_where_asked() -> TestResult {
    let folder = TempDir::new()?;
    let path = folder.path();
    let config = CONFIG.replace("window = 3, stride = 2", "front = 'convolutions'");
    fs::write(path.join("c.toml"), config)?;
    let (code, _, errors) = train(path, &["fit", "c.toml", "--out", "run", "--quiet"])?;
    assert_eq!((code, errors.as_str()), (0, ""));
    let resolved = fs::read_to_string(path.join("run/config.toml"))?;
    assert!(resolved.contains("front = \"convolutions\""), "{resolved}");
    let (code, _, errors) = train(path, &["evaluate", "run", "--quiet"])?;
    assert_eq!((code, errors.as_str()), (0, ""));
    Ok(())
}

#[test]
fn a_budget_of_frames_cuts_evaluation_and_changes_no_figure() -> TestResult {
    let folder = TempDir::new()?;
    let path = folder.path();
    fs::write(path.join("c.toml"), CONFIG)?;
    let (code, ..) = train(path, &["fit", "c.toml", "--out", "run", "--quiet"])?;
    assert_eq!(code, 0);
    let measure = |set: &str| -> TestResult<Value> {
        let arguments = [
            "evaluate", "run", "--split", "test", "--quiet", "--set", set,
        ];
        let (code, out, errors) = train(path, &arguments)?;
        assert_eq!((code, errors.as_str()), (0, ""));
        Ok(serde_json::from_str(&out)?)
    };
    // One clip at a time: every clip has more than one frame.
    let (few, many) = (
        measure("eval.batch_tokens=1")?,
        measure("eval.batch_size=12")?,
    );
    assert_eq!(
        (&few["n_targets"], &few["accuracy"]),
        (&12.into(), &many["accuracy"])
    );
    let loss = |line: &Value| line["loss"].as_f64().ok_or("no loss");
    assert!((loss(&few)? - loss(&many)?).abs() < 1e-6);
    let set = "eval.batch_tokens=0";
    let (code, _, errors) = train(path, &["evaluate", "run", "--set", set])?;
    assert_eq!((code, errors.lines().count()), (2, 1), "{errors}");
    assert!(
        errors.contains("batch_tokens = 0 is out of range; use 1 to 16777216"),
        "{errors}"
    );
    Ok(())
}

#[test]
fn a_recogniser_is_timed_on_symbols_that_are_made_up() -> TestResult {
    let folder = TempDir::new()?;
    let path = folder.path();
    let config = CONFIG
        .replace("'generated'", "'nowhere.csv'")
        .replace("generated = { clips = 60, test_clips = 12 }\n", "")
        .replace("speech-classifier", "speech-ctc");
    for front in [
        "window = 3, stride = 2",
        "front = 'convolutions'",
        "stride = 64",
    ] {
        let config = config.replace("window = 3, stride = 2", front);
        fs::write(path.join("c.toml"), config)?;
        let (code, out, errors) = train(path, &["bench", "c.toml", "--steps", "2"])?;
        assert_eq!((code, errors.as_str()), (0, ""), "{front}");
        let measured: Value = serde_json::from_str(&out)?;
        let loss = measured["first_loss"].as_f64().ok_or("no loss")?;
        assert!(loss > 0.0 && loss.is_finite(), "{measured}");
    }
    Ok(())
}

#[test]
fn wrong_tables_of_sound_are_refused_with_their_place() -> TestResult {
    let folder = TempDir::new()?;
    let path = folder.path();
    for (good, bad, fault) in [
        (
            "sample_rate = 8000",
            "sample_rate = 0",
            "sample_rate = 0 is out of range",
        ),
        ("n_mels = 12", "n_mels = 900", "n_mels = 900 is too many"),
        ("path = 'generated'", "path = 'none'", "none: cannot read"),
        ("window = 3", "window = 1", "speech.window = 1"),
        ("gain_db = 3.0", "gain = 3.0", "unknown key `gain`"),
        (
            "speech-classifier",
            "speech-ctc",
            "generated sounds have no text",
        ),
    ] {
        let config = CONFIG.replace(good, bad);
        // What belongs to generated sounds alone goes with them.
        let config = match bad.contains("none") {
            true => config.replace("generated = { clips = 60, test_clips = 12 }\n", ""),
            false => config,
        };
        fs::write(path.join("c.toml"), config)?;
        let (code, _, errors) = train(path, &["fit", "c.toml", "--out", "run", "--quiet"])?;
        assert!(code > 1, "{bad}: {code}");
        assert!(
            errors.contains(fault) && errors.lines().count() == 1,
            "{errors}"
        );
    }
    Ok(())
}
