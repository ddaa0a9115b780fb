//! Runs that start from another model.

use std::fs;

use safetensors::SafeTensors;
use serde_json::Value;

use crate::command::train;
use crate::tiny_run::{TestResult, TinyRun, assert_same, checkpoints, metrics, tensors};

const FROM: [&str; 2] = ["--set", "init.from=base"];
const LORA: [&str; 4] = [
    "--set",
    "init.from=base",
    "--set",
    "init.lora={rank=2,alpha=4,dropout=0.2,targets=[\"*.wq\",\"*.up\"]}",
];

/// Runs, the first of which, `base`, is done.
fn with_base(overrides: &[&str]) -> TestResult<TinyRun> {
    let run = TinyRun::new(overrides)?;
    run.finish(&run.out("base"), &[])?;
    Ok(run)
}

/// The bytes of the tensors of the model that the run `name` made, by name.
fn model(run: &TinyRun, name: &str) -> TestResult<std::collections::BTreeMap<String, Vec<u8>>> {
    let bytes = fs::read(run.out(name).join("model/model.safetensors"))?;
    let tensors = SafeTensors::deserialize(&bytes)?;
    let own =
        |(name, view): (String, safetensors::tensor::TensorView<'_>)| (name, view.data().to_vec());
    Ok(tensors.tensors().into_iter().map(own).collect())
}

#[test]
fn what_is_frozen_keeps_its_bytes_and_the_rest_moves() -> TestResult {
    let run = with_base(&[])?;
    let freeze = [
        &FROM[..],
        &["--set", "init.freeze=[\"embed.*\",\"blocks.0-0.*\"]"],
    ]
    .concat();
    run.finish(&run.out("frozen"), &freeze)?;
    let (before, after) = (model(&run, "base")?, model(&run, "frozen")?);
    assert_eq!(before.len(), after.len());
    for (name, bytes) in &before {
        let frozen = name.starts_with("embed.") || name.starts_with("blocks.0.");
        assert_eq!(after.get(name) == Some(bytes), frozen, "{name}");
    }
    Ok(())
}

#[test]
fn a_rate_of_nothing_but_a_name_moves_that_name_most() -> TestResult {
    let run = with_base(&["train.steps=3", "train.ema="])?;
    let slow = [&FROM[..], &["--set", "init.lr={\"*.wq.*\"=1e-12}"]].concat();
    run.finish(&run.out("slow"), &slow)?;
    let values = |bytes: &[u8]| -> Vec<f32> {
        let word = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        bytes.chunks_exact(4).map(word).collect()
    };
    for (name, before) in model(&run, "base")? {
        let (before, after) = (values(&before), values(&model(&run, "slow")?[&name]));
        let pairs = before.iter().zip(&after);
        let most = pairs.fold(0f32, |most, (a, b)| most.max((a - b).abs()));
        assert_eq!(most < 1e-7, name.contains(".wq."), "{name} by {most}");
    }
    Ok(())
}

#[test]
fn a_run_with_frozen_parts_or_adapters_goes_on_to_the_same_bytes() -> TestResult {
    let run = with_base(&[])?;
    let freeze = [&FROM[..], &["--set", "init.freeze=[\"blocks.0.*\"]"]].concat();
    for (name, arguments) in [("frozen", &freeze[..]), ("lora", &LORA[..])] {
        let whole = run.out(name);
        run.finish(&whole, arguments)?;
        let cut = run.out(&format!("{name}-cut"));
        copy(&whole, &cut)?;
        fs::remove_dir_all(cut.join("model"))?;
        for (step, path) in checkpoints(&cut)? {
            if step > 10 {
                fs::remove_dir_all(path)?;
            }
        }
        run.finish(&cut, &[arguments, &["--resume"]].concat())?;
        assert_same(&cut, &whole)?;
    }
    Ok(())
}

fn copy(from: &std::path::Path, to: &std::path::Path) -> TestResult {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let (from, to) = {
            let entry = entry?;
            (entry.path(), to.join(entry.file_name()))
        };
        match from.is_dir() {
            true => copy(&from, &to)?,
            false => drop(fs::copy(&from, &to)?),
        }
    }
    Ok(())
}

#[test]
fn only_adapters_are_stored_and_they_work_as_part_of_the_model() -> TestResult {
    let run = with_base(&[])?;
    let out = run.out("lora");
    run.finish(&out, &LORA)?;
    let stored = tensors(&out.join("model"))?;
    assert_eq!(stored.len(), 2 * 2 * 2);
    for block in 0..2 {
        for module in ["attn.c_attn", "mlp.c_fc"] {
            for part in ["lora_A", "lora_B"] {
                let name = format!(
                    "adapter_model.safetensors: base_model.model.transformer.h.{block}.{module}.{part}.weight"
                );
                assert!(stored.contains_key(&name), "{name}: {:?}", stored.keys());
            }
        }
    }
    let config: Value = serde_json::from_slice(&fs::read(out.join("model/adapter_config.json"))?)?;
    assert_eq!(config["r"], 2);
    assert_eq!(config["lora_alpha"], 4.0);
    assert_eq!(config["peft_type"], "LORA");
    assert_eq!(config["target_modules"].as_array().map(Vec::len), Some(4));

    // The run measured its model with adapters beside the weights; what is loaded has them
    // merged.
    let folder = out.parent().ok_or("no folder")?;
    let (code, line, errors) = train(folder, &["evaluate", "lora", "--split", "val"])?;
    assert_eq!(code, 0, "{errors}");
    let merged: Value = serde_json::from_str(&line)?;
    let best = metrics(&out)?
        .iter()
        .filter(|record| record["split"] == "val")
        .filter_map(|record| record["loss"].as_f64())
        .fold(f64::INFINITY, f64::min);
    let merged = merged["loss"].as_f64().ok_or("no loss")?;
    assert!((merged - best).abs() < 1e-5, "{merged} and {best}");

    let (code, _, errors) = train(folder, &["export", "lora", "--out", "one"])?;
    assert!(code == 2 && errors.contains("--merge"), "{code}: {errors}");
    let (code, _, errors) = train(folder, &["export", "lora", "--out", "one", "--merge"])?;
    assert_eq!(code, 0, "{errors}");
    let (code, line, errors) = train(folder, &["evaluate", "one", "--split", "val"])?;
    assert_eq!(code, 0, "{errors}");
    let one: Value = serde_json::from_str(&line)?;
    assert_eq!(one["loss"].as_f64(), Some(merged));
    Ok(())
}

#[test]
fn adapters_are_refused_beside_other_weights() -> TestResult {
    let run = with_base(&[])?;
    run.finish(&run.out("lora"), &LORA)?;
    let other = ["--set", "run.seed=4"];
    run.finish(&run.out("other"), &other)?;
    fs::remove_dir_all(run.out("base"))?;
    fs::rename(run.out("other"), run.out("base"))?;
    let lora = run.out("lora");
    let folder = lora.parent().ok_or("no folder")?;
    let (code, _, errors) = train(folder, &["evaluate", "lora", "--split", "val"])?;
    assert_eq!(code, 65, "{errors}");
    assert!(errors.contains("belong to other weights"), "{errors}");
    let resumed = run.fit(&lora, &[&LORA[..], &["--resume"]].concat())?;
    resumed.is_refusal(65, &["other weights", "init.from"]);
    fs::remove_dir_all(run.out("base"))?;
    let (code, _, errors) = train(folder, &["evaluate", "lora", "--split", "val"])?;
    assert_eq!(code, 65, "{errors}");
    assert!(errors.contains("is not there"), "{errors}");
    Ok(())
}

#[test]
fn damaged_adapters_are_refused_in_one_line() -> TestResult {
    let run = with_base(&[])?;
    let lora = run.out("lora");
    run.finish(&lora, &LORA)?;
    let file = lora.join("model/adapter_model.safetensors");
    let sound = fs::read(&file)?;
    let folder = lora.parent().ok_or("no folder")?;
    // Of the same length each, so that only the header changes.
    for (old, new, words) in [
        (
            "c_attn.lora_A.weight\":{\"dtype\":\"F32\",\"shape\":[2,16]",
            "c_attn.lora_A.weight\":{\"dtype\":\"F32\",\"shape\":[16,2]",
            "is of shape [16, 2], not [2, 16]",
        ),
        (
            "c_attn.lora_A.weight\":{\"dtype\":\"F32\",\"shape\":[2,16]",
            "c_attn.lora_A.weight\":{\"dtype\":\"F32\",\"shape\":[32]  ",
            "is of shape [32], not [2, 16]",
        ),
        (
            "c_attn.lora_B.weight\":{\"dtype\":\"F32\",\"shape\":[48,2]",
            "c_attn.lora_B.weight\":{\"dtype\":\"F32\",\"shape\":[2,48]",
            "is of shape [2, 48], not [48, 2]",
        ),
        (
            "h.0.attn.c_attn.lora_B.weight\":",
            "h.0.attn.c_proj.lora_B.weight\":",
            "c_proj.lora_B.weight`, which is no part of the model",
        ),
        (
            "h.0.attn.c_attn.lora_B.weight\":",
            "wpe.weight\":                   ",
            "lacks `base_model.model.transformer.h.0.attn.c_attn.lora_B.weight`",
        ),
    ] {
        let at = sound
            .windows(old.len())
            .position(|bytes| bytes == old.as_bytes())
            .ok_or_else(|| format!("no {old}"))?;
        let mut damaged = sound.clone();
        damaged[at..at + old.len()].copy_from_slice(new.as_bytes());
        fs::write(&file, damaged)?;
        let (code, _, errors) = train(folder, &["evaluate", "lora", "--split", "val"])?;
        assert_eq!(code, 65, "{new}: {errors}");
        assert!(
            errors.contains(words) && errors.lines().count() == 1,
            "{new}: {errors}"
        );
    }
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused_before_the_run_has_a_folder() -> TestResult {
    let run = with_base(&[])?;
    for (set, code, words) in [
        ("init.from=nowhere", 2, "no such file"),
        ("init.freeze=[\"*\"]", 65, "nothing is left to train"),
        (
            "init.freeze=[\"blok.*\"]",
            65,
            "no name looks like `blok.*`",
        ),
        ("init.ignore=[\"nix\"]", 65, "no name looks like `nix`"),
        ("init.lr={\"nix\"=1e-3}", 65, "no name looks like `nix`"),
        (
            "init.lora={targets=[\"*.xx\"]}",
            65,
            "no name looks like `*.xx`",
        ),
        (
            "init.lora={targets=[\"embed\"]}",
            65,
            "no name looks like `embed`",
        ),
        ("init.lora={rank=0}", 2, "lora.rank = 0"),
        ("init.layer_decay=0", 2, "layer_decay = 0"),
        ("init.lr={\"head.*\"=-1}", 2, "out of range"),
        ("init.freeze=[\"[\"]", 2, "is no pattern for names"),
        ("model.d_model=32", 65, "of another shape"),
        ("model.n_layers=3", 65, "missing: blocks.2"),
        ("model.n_layers=1", 65, "unexpected: blocks.1"),
    ] {
        let out = run.out("refused");
        let ended = run.fit(&out, &[&FROM[..], &["--set", set]].concat())?;
        ended.is_refusal(code, &[words]);
        assert!(!out.exists(), "{set}");
    }
    Ok(())
}

#[test]
fn a_new_vocabulary_keeps_the_rows_of_the_tokens_that_both_know() -> TestResult {
    let run = with_base(&[])?;
    let folder = run.out("");
    // `=` and digits are known, letters are new, `+` is gone.
    let text: String = (0..200)
        .map(|i| format!("a{} = b{}\n", i % 7, i % 5))
        .collect();
    fs::write(folder.join("other.txt"), text)?;
    let arguments = [
        &FROM[..],
        &["--set", "data.path=other.txt"],
        &["--set", "data.tokenizer=chars"],
        &["--set", "init.freeze=[\"embed.*\"]"],
    ]
    .concat();
    let ended = run.finish(&run.out("moved"), &arguments)?;
    assert!(
        ended.stderr.contains("embed.weight, 10 of 12 tokens known"),
        "{}",
        ended.stderr
    );
    let rows = |name: &str, token: char| -> TestResult<Vec<u8>> {
        let json = fs::read(run.out(name).join("model/tokenizer.json"))?;
        let json: Value = serde_json::from_slice(&json)?;
        let id = json["model"]["vocab"][token.to_string()]
            .as_u64()
            .ok_or("no such token")? as usize;
        Ok(model(&run, name)?["embed.weight"][id * 64..(id + 1) * 64].to_vec())
    };
    for token in ['0', '6', '=', ' ', '\n'] {
        assert_eq!(rows("base", token)?, rows("moved", token)?, "{token:?}");
    }
    assert!(rows("base", 'a').is_err() && rows("moved", 'a').is_ok());
    Ok(())
}

#[test]
fn sound_is_read_as_the_model_to_start_from_reads_it() -> TestResult {
    let folder = tempfile::TempDir::new()?;
    let path = folder.path();
    fs::write(path.join("base.toml"), crate::speech::CONFIG)?;
    let (code, _, errors) = train(path, &["fit", "base.toml", "--out", "base", "--quiet"])?;
    assert_eq!((code, errors.as_str()), (0, ""));
    let inherits = "[run]\nname = 'on'\n[init]\nfrom = 'base'\n[data]\npath = 'generated'\n\
                    max_seconds = 0.7\ngenerated = { clips = 30, test_clips = 6 }\n[model]\n\
                    kind = 'speech-classifier'\n[train]\nsteps = 2\nbatch_size = 6\nlr = 1e-3\n";
    fs::write(path.join("on.toml"), inherits)?;
    let (code, _, errors) = train(path, &["fit", "on.toml", "--out", "on", "--quiet"])?;
    assert_eq!(code, 0, "{errors}");
    let read = |run: &str| -> TestResult<toml::Table> {
        Ok(fs::read_to_string(path.join(run).join("config.toml"))?.parse()?)
    };
    let (base, on) = (read("base")?, read("on")?);
    for key in ["sample_rate", "features"] {
        assert!(base["data"].get(key).is_some(), "{key}");
        assert_eq!(base["data"].get(key), on["data"].get(key), "{key}");
    }
    Ok(())
}

#[test]
fn integers_are_no_weights_and_leave_no_folder() -> TestResult {
    let run = with_base(&[])?;
    let file = run.out("base").join("model/model.safetensors");
    let mut bytes = fs::read(&file)?;
    let dtype = br#""dtype":"F32""#;
    let at = bytes.windows(dtype.len()).position(|part| part == dtype);
    bytes[at.ok_or("no floats")? + dtype.len() - 4] = b'I';
    fs::write(&file, bytes)?;
    let refused = run.fit(&run.out("new"), &FROM)?;
    refused.is_refusal(65, &["holds I32"]);
    assert!(!run.out("new").exists());
    Ok(())
}
