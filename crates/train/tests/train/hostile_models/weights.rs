//! Damaged weights, those of other formats, and shards.

use std::fs::{self, File};

use serde_json::{Map, Value, json};

use super::{INDEX, Models, ONE, WEIGHTS};
use crate::tiny_run::TestResult;

#[test]
fn damaged_weights_are_refused() -> TestResult {
    let models = Models::new()?;
    let offsets = |tensor: &mut Value, by: [i64; 2]| {
        for (i, by) in by.into_iter().enumerate() {
            let at = tensor["data_offsets"][i].as_i64().unwrap_or(0);
            tensor["data_offsets"][i] = json!(at + by);
        }
    };
    models.header("is larger than any file", |header| {
        header[ONE]["shape"] = json!([u64::MAX, 2]);
    })?;
    models.header("is larger than any file", |header| {
        header[ONE]["shape"] = json!([1u64 << 40, 1u64 << 40]);
    })?;
    models.header("has the range", |header| {
        header[ONE]["shape"] = json!([1u64 << 40]);
    })?;
    models.header("has the range", |header| {
        header[ONE]["data_offsets"] = json!([16, 0]);
    })?;
    models.header("of the data instead of", |header| {
        offsets(&mut header[ONE], [4, 4]);
    })?;
    models.header("of the data instead of", |header| {
        let first = header
            .values()
            .find(|tensor| tensor["data_offsets"][0] == 0);
        let end = first
            .and_then(|tensor| tensor["data_offsets"][1].as_i64())
            .unwrap_or(0);
        let length = header[ONE]["data_offsets"][1].as_i64().unwrap_or(0)
            - header[ONE]["data_offsets"][0].as_i64().unwrap_or(0);
        header[ONE]["data_offsets"] = json!([end / 2, end / 2 + length]);
    })?;
    models.header("the header is not valid", |header| {
        header[ONE]["data_offsets"] = json!([-4, 4]);
    })?;
    models.header("unknown element type `F8_X`", |header| {
        header[ONE]["dtype"] = json!("F8_X");
    })?;
    models.header(
        "holds I32, only F32, F16, BF16 and F64 are weights",
        |header| {
            header[ONE]["dtype"] = json!("I32");
        },
    )?;
    models.header("do not belong together", |header| {
        header[ONE]["shape"] = json!([16, 256]);
    })?;
    Ok(())
}

#[test]
fn cut_or_endless_weights_are_refused() -> TestResult {
    let models = Models::new()?;
    for (length, words) in [
        (0, "too few for a header"),
        (7, "too few for a header"),
        (9, "the header claims"),
        (3000, "has the range"),
    ] {
        models.refused("sound", words, |bad| {
            let file = File::options().write(true).open(bad.join(WEIGHTS))?;
            Ok(file.set_len(length)?)
        })?;
    }
    models.refused("sound", "the tensors fill", |bad| {
        let file = File::options().write(true).open(bad.join(WEIGHTS))?;
        let length = file.metadata()?.len();
        Ok(file.set_len(length + 4)?)
    })?;
    // Room for all that they claim, but only on paper.
    for claimed in [150u64 << 20, 1 << 40] {
        models.refused("sound", "the header claims", |bad| {
            let path = bad.join(WEIGHTS);
            fs::write(&path, claimed.to_le_bytes())?;
            let file = File::options().write(true).open(&path)?;
            Ok(file.set_len((claimed + 16).min(200 << 20))?)
        })?;
    }
    Ok(())
}

#[test]
fn a_hundred_thousand_tensors_are_refused() -> TestResult {
    let models = Models::new()?;
    let with = |n: usize, prefix: &'static str| {
        move |header: &mut Map<String, Value>| {
            let none = json!({ "dtype": "F32", "shape": [0], "data_offsets": [0, 0] });
            header.extend((0..n).map(|i| (format!("{prefix}.{i}"), none.clone())));
        }
    };
    models.header("more than 100000 tensors", with(100_000, "x"))?;
    models.header("`bert.x.0`, and 89999 more", with(90_000, "bert.x"))
}

#[test]
fn pickles_are_refused_with_the_way_to_convert_them() -> TestResult {
    let models = Models::new()?;
    let pickle = b"PK\x03\x04\x00\x00\x08\x08 model/data.pkl";
    for name in ["pytorch_model.bin", "model.pt", "weights.pth", "model.ckpt"] {
        models.refused("sound", "is a pickle, which can run code", |bad| {
            fs::remove_file(bad.join(WEIGHTS))?;
            Ok(fs::write(bad.join(name), pickle)?)
        })?;
    }
    // Under the name of another format, too.
    models.refused("sound", "is a pickle", |bad| {
        Ok(fs::write(bad.join(WEIGHTS), pickle)?)
    })?;
    models.refused("sound", "is a pickle", |bad| {
        Ok(fs::write(
            bad.join(WEIGHTS),
            b"\x80\x04\x95\x00\x00\x00\x00\x10\x00}.",
        )?)
    })
}

#[test]
fn shards_that_are_missing_or_elsewhere_are_refused() -> TestResult {
    let models = Models::new()?;
    let shard = "model-00002-of-";
    models.refused(
        "shards",
        "is not beside it; copy or download what is missing",
        |bad| {
            let mut entries = fs::read_dir(bad)?.filter_map(Result::ok);
            let name = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
            let second = entries.find(|entry| name(entry).starts_with(shard));
            Ok(fs::remove_file(second.ok_or("one file")?.path())?)
        },
    )?;
    for file in [
        "../sound/model.safetensors",
        "/etc/passwd",
        "",
        ".",
        "a/b.safetensors",
    ] {
        models.refused(
            "shards",
            "is not the name of a .safetensors file beside it",
            |bad| {
                let path = bad.join(INDEX);
                let mut index: Value = serde_json::from_slice(&fs::read(&path)?)?;
                index["weight_map"][ONE] = json!(file);
                Ok(fs::write(path, index.to_string())?)
            },
        )?;
    }
    models.refused("shards", "the index is damaged", |bad| {
        Ok(fs::write(bad.join(INDEX), "{\"weight_map\": [")?)
    })
}
