//! `train generate`, `predict`, `evaluate` and `export`, on a tiny model that was never trained.

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use attn_core::ParamStore;
use candle_core::{DType, Device};
use data::text::Tokenizer;
use models::Model;
use serde_json::Value;
use tempfile::TempDir;
use train::{
    model_file::NamedTensor,
    model_folder::{Description, write},
};

type TestResult<T = ()> = Result<T, Box<dyn Error>>;

/// Writes the folders `lm`, `classifier` and `encoder` into `folder`.
pub(crate) fn models(folder: &Path) -> TestResult {
    for (name, kind) in [
        ("lm", "kind = 'text-lm'"),
        ("classifier", "kind = 'text-classifier'\nn_classes = 2"),
        (
            "encoder",
            "kind = 'text-encoder'\nembed_norm = true\ntoken_types = 2\npooler = true",
        ),
    ] {
        let config: train::config::RunConfig = format!(
            "[run]\nname = '{name}'\n[data]\npath = 'x.txt'\nseq_len = 16\n\
             [model]\nd_model = 16\nn_heads = 2\nn_layers = 1\nvocab_size = 256\n\
             max_seq_len = 16\n{kind}\n[train]\nsteps = 1\nbatch_size = 1\nlr = 1e-3\n"
        )
        .parse()?;
        let store = ParamStore::new(1, DType::F32, &Device::Cpu);
        Model::build(&config.model, store.var_builder())?;
        let labels = ["spam", "ham"].map(str::to_owned);
        let description = Description {
            config,
            tokenizer: Some(Tokenizer::bytes()),
            labels: labels
                .into_iter()
                .filter(|_| name == "classifier")
                .collect(),
            graphs: None,
            features: None,
            results: BTreeMap::new(),
            base: None,
        };
        let tensors = store.tensors();
        let named: Vec<_> = tensors
            .iter()
            .map(|(name, tensor)| NamedTensor::tensor(name.as_str(), tensor))
            .collect();
        write(&folder.join(name), &description, &named)?;
    }
    Ok(())
}

pub(crate) fn train(
    folder: &Path,
    arguments: &[&str],
    stdin: &str,
) -> TestResult<(i32, String, String)> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_train"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .ok_or("no stdin")?
        .write_all(stdin.as_bytes())?;
    let output = child.wait_with_output()?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().ok_or("killed")?;
    Ok((code, text(&output.stdout), text(&output.stderr)))
}

#[test]
fn generate_writes_the_same_text_every_time() -> TestResult {
    let folder = TempDir::new()?;
    models(folder.path())?;
    let arguments = [
        "generate",
        "lm",
        "--prompt",
        "Once",
        "--max-tokens",
        "30",
        "--seed",
        "5",
    ];
    let (code, first, errors) = train(folder.path(), &arguments, "")?;
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(
        first.starts_with("Once") && first.ends_with('\n'),
        "{first}"
    );
    assert_eq!(train(folder.path(), &arguments, "")?.1, first);

    let without = [&arguments[..], &["--no-prompt"]].concat();
    let (_, continuation, _) = train(folder.path(), &without, "")?;
    assert_eq!(format!("Once{continuation}"), first);

    let stop: String = first.chars().skip(8).take(1).collect();
    let stopped = [&arguments[..], &["--stop", &stop]].concat();
    let (_, text, _) = train(folder.path(), &stopped, "")?;
    assert!(
        text.len() < first.len(),
        "{text:?} does not stop at {stop:?}"
    );
    Ok(())
}

#[test]
fn predict_answers_every_text_in_order_with_one_line_of_json() -> TestResult {
    let folder = TempDir::new()?;
    models(folder.path())?;
    let lines = |out: String| -> TestResult<Vec<Value>> {
        Ok(out
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?)
    };
    let (code, out, _) = train(folder.path(), &["predict", "classifier", "one", "two"], "")?;
    let answers = lines(out)?;
    assert_eq!((code, answers.len()), (0, 2));
    assert_eq!(
        (&answers[0]["text"], &answers[1]["text"]),
        (&"one".into(), &"two".into())
    );
    let probability = |label: &str| answers[0]["probabilities"][label].as_f64();
    assert!(
        (probability("spam").unwrap_or(0.0) + probability("ham").unwrap_or(0.0) - 1.0).abs() < 1e-9
    );

    let (_, out, _) = train(folder.path(), &["predict", "lm"], "first line\nsecond\n\n")?;
    let answers = lines(out)?;
    assert_eq!(
        answers.iter().map(|a| &a["n_tokens"]).collect::<Vec<_>>(),
        [9, 5, 0]
    );
    let loss = answers[0]["loss"].as_f64().ok_or("no loss")?;
    // Untrained, it holds all 256 bytes for about equally likely.
    assert!((loss - 256f64.ln()).abs() < 0.2, "{loss}");
    assert!(answers[2]["loss"].is_null());
    Ok(())
}

#[test]
fn an_encoder_makes_vectors_and_is_neither_trained_nor_measured() -> TestResult {
    let folder = TempDir::new()?;
    models(folder.path())?;
    let (code, out, errors) = train(folder.path(), &["predict", "encoder", "one", "two"], "")?;
    assert_eq!((code, errors.as_str()), (0, ""));
    for (line, text) in out.lines().zip(["one", "two"]) {
        let answer: Value = serde_json::from_str(line)?;
        assert_eq!(answer["text"], text);
        assert_eq!(answer["vector"].as_array().map(Vec::len), Some(16));
    }
    fs::write(folder.path().join("x.txt"), "some text\n".repeat(40))?;
    let config = fs::read_to_string(folder.path().join("encoder/config.json"))?;
    let mut config: toml::Table = serde_json::from_str(&config)?;
    let tables = ["run", "data", "model", "train", "eval", "checkpoint"];
    config.retain(|name, _| tables.contains(&name));
    fs::write(
        folder.path().join("encoder.toml"),
        toml::to_string(&config)?,
    )?;
    for arguments in [
        &["evaluate", "encoder"][..],
        &["fit", "encoder.toml"],
        &["bench", "encoder.toml"],
    ] {
        let (code, _, errors) = train(folder.path(), arguments, "")?;
        assert_eq!(code, 2, "{arguments:?}: {errors}");
        assert_eq!(errors.trim_end().lines().count(), 1, "{errors}");
        assert!(
            errors.contains("use kind = \"text-classifier\""),
            "{errors}"
        );
    }
    let (code, out, _) = train(folder.path(), &["explain", "encoder.toml"], "")?;
    assert_eq!(code, 0);
    assert!(
        out.contains("pooler.weight") && !out.contains("a step of"),
        "{out}"
    );
    Ok(())
}

#[test]
fn evaluate_measures_other_data_as_well_as_its_own() -> TestResult {
    let folder = TempDir::new()?;
    models(folder.path())?;
    fs::write(
        folder.path().join("x.txt"),
        "some text to read\n".repeat(40),
    )?;
    fs::write(
        folder.path().join("y.csv"),
        "text,label\none,spam\ntwo,ham\n",
    )?;
    let measured = |arguments: &[&str]| -> TestResult<Value> {
        let arguments = [&["evaluate", "--quiet"], arguments].concat();
        let (code, out, errors) = train(folder.path(), &arguments, "")?;
        assert_eq!((code, errors.as_str()), (0, ""), "{arguments:?}");
        Ok(serde_json::from_str(&out)?)
    };
    // Untrained, it holds all 256 bytes for about equally likely.
    let is_uniform = |loss: &Value| {
        loss.as_f64()
            .is_some_and(|loss| (loss - 256f64.ln()).abs() < 0.2)
    };
    let val = measured(&["lm"])?;
    assert!(is_uniform(&val["loss"]), "{val}");
    assert_eq!(
        (&val["split"], &val["n_targets"]),
        (&"val".into(), &71.into()),
        "a tenth of 720 bytes"
    );
    let all = measured(&["lm", "--data", "x.txt", "--set", "eval.batch_size=3"])?;
    assert_eq!(
        (&all["split"], &all["n_targets"]),
        (&Value::Null, &719.into())
    );
    let classes = measured(&["classifier", "--data", "y.csv"])?;
    assert_eq!(classes["n_targets"], 2);
    assert!(
        classes["accuracy"]
            .as_f64()
            .is_some_and(|share| (0.0..=1.0).contains(&share))
    );
    let rows = classes["confusion"]["rows"].as_array().ok_or("no rows")?;
    let taken = rows
        .iter()
        .flat_map(|row| row.as_array().into_iter().flatten());
    assert_eq!(taken.filter_map(Value::as_u64).sum::<u64>(), 2);
    let arguments = ["evaluate", "classifier", "--data", "y.csv"];
    let (_, _, table) = train(folder.path(), &arguments, "")?;
    assert!(
        table.contains("macro_f1") && table.contains("recall"),
        "{table}"
    );
    Ok(())
}

#[test]
fn evaluate_names_what_it_cannot_measure() -> TestResult {
    let folder = TempDir::new()?;
    models(folder.path())?;
    fs::write(
        folder.path().join("x.txt"),
        "some text to read\n".repeat(40),
    )?;
    fs::write(
        folder.path().join("y.csv"),
        "text,label\none,spam\ntwo,eggs\n",
    )?;
    for (arguments, code, about) in [
        (&["lm", "--split", "test"][..], 2, "has no test part"),
        (&["lm", "--data", "nowhere.txt"], 65, "nowhere.txt"),
        (&["classifier", "--data", "y.csv"], 65, "y.csv:3"),
        (
            &["lm", "--set", "model.n_layers=2"],
            2,
            "cannot change [model]",
        ),
        (&["lm", "--set", "data.seq_len=17"], 2, "max_seq_len = 16"),
        (
            &["lm", "--set", "eval.batchsize=2"],
            2,
            "did you mean `batch_size`?",
        ),
    ] {
        let (got, out, errors) = train(folder.path(), &[&["evaluate"], arguments].concat(), "")?;
        assert_eq!(
            (got, out.as_str(), errors.lines().count()),
            (code, "", 1),
            "{arguments:?}: {errors}"
        );
        assert!(
            errors.starts_with("error: ") && errors.contains(about),
            "{arguments:?}: {errors}"
        );
    }
    Ok(())
}

#[test]
fn export_makes_a_folder_that_can_be_used() -> TestResult {
    let folder = TempDir::new()?;
    models(folder.path())?;
    let (code, out, errors) = train(folder.path(), &["export", "lm", "--out", "there"], "")?;
    assert_eq!((code, out.as_str(), errors.as_str()), (0, "", ""));
    let text = |model| train(folder.path(), &["generate", model, "--max-tokens", "9"], "");
    assert_eq!(text("lm")?, text("there")?);
    assert_eq!(text("there/model.safetensors")?.0, 0);
    let (code, _, errors) = train(folder.path(), &["export", "lm", "--out", "there"], "")?;
    assert_eq!(code, 73);
    assert!(errors.contains("choose another `--out`"), "{errors}");
    Ok(())
}

#[test]
fn what_cannot_be_used_is_told_in_one_line() -> TestResult {
    let folder = TempDir::new()?;
    models(folder.path())?;
    fs::write(folder.path().join("junk"), "junk")?;
    let flipped = folder.path().join("flipped.safetensors");
    let mut bytes = fs::read(folder.path().join("lm/model.safetensors"))?;
    bytes[20] ^= 0x40;
    fs::write(&flipped, bytes)?;
    for (arguments, code, about) in [
        (&["generate", "nowhere"][..], 2, "no such file or folder"),
        (&["generate", "."], 65, "holds no model.safetensors"),
        (&["generate", "junk"], 65, "junk: "),
        (
            &["generate", "flipped.safetensors"],
            65,
            "flipped.safetensors: ",
        ),
        (&["generate", "classifier"], 2, "use `train predict`"),
        (
            &["generate", "lm", "--temperature", "-1"],
            2,
            "temperature = -1",
        ),
        (&["generate", "lm", "--top-k", "0"], 2, "top-k = 0"),
        (&["generate", "lm", "--top-p", "1.5"], 2, "top-p = 1.5"),
        (&["predict", "classifier", ""], 65, "no tokens"),
        (&["export", "lm", "--out", "junk"], 73, "junk: "),
    ] {
        let (got, out, errors) = train(folder.path(), arguments, "")?;
        assert_eq!(got, code, "{arguments:?}: {errors}");
        assert!(
            errors.starts_with("error: ") && errors.contains(about),
            "{arguments:?}: {errors}"
        );
        assert_eq!(
            (errors.lines().count(), out.as_str()),
            (1, ""),
            "{arguments:?}"
        );
    }
    Ok(())
}
