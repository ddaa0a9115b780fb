use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::durable::faults::scratch;
use crate::model_file::{Foreign, Misfit, NamedTensor, write_model_file};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A folder of `shards`, each a name and names of tensors, with an index of `map`.
fn folder(shards: &[(&str, &[&str])], map: &Value) -> Result<tempfile::TempDir> {
    let dir = scratch()?;
    for (file, names) in shards {
        let tensors: Vec<NamedTensor<'_>> = names
            .iter()
            .map(|name| NamedTensor::slice(*name, vec![1], &[0.5]))
            .collect();
        let metadata = [("file".to_owned(), (*file).to_owned())];
        write_model_file(&dir.path().join(file), &metadata.into(), &tensors)?;
    }
    let index = json!({ "metadata": {}, "weight_map": map }).to_string();
    fs::write(dir.path().join(INDEX), index)?;
    Ok(dir)
}

const ONE: &str = "1.safetensors";
const TWO: &str = "2.safetensors";

#[test]
fn an_index_that_does_not_agree_with_its_shards_is_refused() -> Result {
    let both: &[(&str, &[&str])] = &[(ONE, &["a"]), (TWO, &["b"])];
    let good = folder(both, &json!({ "a": ONE, "b": TWO }))?;
    let weights = Weights::open(good.path())?;
    assert_eq!(weights.metadata()["file"], ONE);
    assert_eq!(weights.info("b").map(TensorInfo::elements), Some(1));
    assert!(matches!(
        weights.read("c"),
        Err(ModelFileError::NoSuchTensor { .. })
    ));
    assert!(matches!(
        weights.expect([("a", &[1][..])]),
        Err(ModelFileError::Misfits { misfits, .. })
            if misfits == [Misfit::Unexpected("b".into())]
    ));

    let twice: &[(&str, &[&str])] = &[(ONE, &["a"]), (TWO, &["a", "b"])];
    for (shards, map, what) in [
        (
            both,
            json!({ "a": ONE, "b": TWO, "c": ONE }),
            "tensor `c` is not in `1.safetensors`, where it is to be",
        ),
        (
            both,
            json!({ "a": TWO, "b": TWO }),
            "tensor `a` is not in `2.safetensors`, where it is to be",
        ),
        (
            twice,
            json!({ "a": ONE, "b": TWO }),
            "tensor `a` is in `1.safetensors` and in `2.safetensors`",
        ),
        (
            twice,
            json!({ "b": TWO }),
            "it does not name tensor `a` of `2.safetensors`",
        ),
        (
            both,
            json!({ "a": ONE, "b": "../2.safetensors" }),
            "tensor `b` is to be in `../2.safetensors`, which is not the name of a \
             .safetensors file beside it",
        ),
    ] {
        let dir = folder(shards, &map)?;
        let message = Weights::open(dir.path()).expect_err(what).to_string();
        let index = dir.path().join(INDEX);
        let start = format!("{}: {what}; the index is damaged", index.display());
        assert!(message.starts_with(&start), "{message}");
        assert_eq!(message.lines().count(), 1);
    }
    Ok(())
}

#[test]
fn missing_shards_are_listed_together() -> Result {
    let dir = folder(&[(ONE, &["a"])], &json!({ "a": ONE, "b": TWO }))?;
    let message = Weights::open(dir.path()).expect_err("missing").to_string();
    let index = dir.path().join(INDEX);
    let want = format!(
        "{}: `2.safetensors` is not beside it; copy or download what is missing",
        index.display()
    );
    assert_eq!(message, want);

    let map: serde_json::Map<String, Value> = (0..20)
        .map(|i| (i.to_string(), format!("{i:02}.safetensors").into()))
        .collect();
    let dir = folder(&[], &map.into())?;
    let message = Weights::open(dir.path()).expect_err("missing").to_string();
    assert!(
        message.contains("`00.safetensors`, `01.safetensors`, ")
            && message.contains("`07.safetensors`, 12 more are not beside it"),
        "{message}"
    );
    Ok(())
}

#[test]
fn a_damaged_shard_or_index_is_named() -> Result {
    let shards: &[(&str, &[&str])] = &[(ONE, &["a"]), (TWO, &["b"])];
    let dir = folder(shards, &json!({ "a": ONE, "b": TWO }))?;
    let two = dir.path().join(TWO);
    let bytes = fs::read(&two)?;
    for n in 0..bytes.len() {
        fs::write(&two, &bytes[..n])?;
        let message = Weights::open(dir.path()).expect_err("cut").to_string();
        assert!(message.starts_with(&two.display().to_string()), "{message}");
    }
    fs::write(&two, &bytes)?;
    let index = dir.path().join(INDEX);
    let json = fs::read(&index)?;
    for n in 0..json.len() {
        fs::write(&index, &json[..n])?;
        assert!(matches!(
            Weights::open(dir.path()),
            Err(ModelFileError::Index { .. })
        ));
    }
    for at in 0..json.len() {
        for mutate in [|b: u8| b ^ 1, |b: u8| b ^ 0x80, |_| 0, |_| b'.'] {
            let mut damaged = json.clone();
            damaged[at] = mutate(damaged[at]);
            fs::write(&index, &damaged)?;
            // `metadata` may change; what opens has both tensors.
            if let Ok(weights) = Weights::open(dir.path()) {
                assert_eq!(weights.tensors().count(), 2);
            }
        }
    }
    fs::write(&index, vec![b' '; limits::HEADER as usize + 1])?;
    assert!(matches!(
        Weights::open(dir.path()),
        Err(ModelFileError::Index {
            defect: IndexDefect::TooLong { .. },
            ..
        })
    ));
    Ok(())
}

#[test]
fn a_folder_s_single_file_comes_first_and_other_formats_last() -> Result {
    let dir = folder(&[(ONE, &["a"])], &json!({ "a": ONE }))?;
    let single = dir.path().join(SINGLE);
    let tensors = [NamedTensor::slice("x", vec![1], &[0.5])];
    write_model_file(&single, &BTreeMap::new(), &tensors)?;
    let weights = Weights::open(dir.path())?;
    assert_eq!((weights.path(), weights.n_files()), (&*single, 1));
    let names: Vec<&str> = weights.tensors().map(|(name, _)| name).collect();
    assert_eq!(names, ["x"]);
    // One element as four bytes: name, type, one size and data, each with its length.
    let mut hasher = blake3::Hasher::new();
    for part in [
        &[1, 0, 0, 0, 0, 0, 0, 0][..],
        b"x",
        &[3, 0, 0, 0, 0, 0, 0, 0],
        b"F32",
    ] {
        hasher.update(part);
    }
    hasher.update(&[1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    hasher.update(&0.5f32.to_le_bytes());
    assert_eq!(weights.fingerprint()?, hasher.finalize());

    let pickle = scratch()?;
    fs::write(pickle.path().join("pytorch_model.bin"), "")?;
    for path in [
        pickle.path().to_path_buf(),
        pickle.path().join("pytorch_model.bin"),
    ] {
        assert!(matches!(
            Weights::open(&path),
            Err(ModelFileError::Foreign {
                format: Foreign::Pickle,
                ..
            })
        ));
    }
    let empty = scratch()?;
    assert!(matches!(
        Weights::open(empty.path()),
        Err(ModelFileError::File(_))
    ));
    Ok(())
}
