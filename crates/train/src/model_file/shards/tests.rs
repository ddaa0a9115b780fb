use std::collections::BTreeSet;

use super::*;
use crate::durable::{faults, power_cut::PowerCutDisk};
use crate::model_file::{Float, ModelFile, Weights};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn size(bytes: u64) -> ByteSize {
    ByteSize::new(bytes).unwrap()
}

/// Names of the tensors of each shard.
fn planned(elements: &[(&str, usize)], max_bytes: u64) -> Vec<Vec<String>> {
    let values = vec![0.0; 1000];
    let tensors: Vec<NamedTensor<'_>> = elements
        .iter()
        .map(|(name, n)| NamedTensor::slice(*name, vec![*n], &values[..*n]))
        .collect();
    let shards = plan(&tensors, size(max_bytes)).unwrap();
    let names = |shard: Vec<NamedTensor<'_>>| shard.iter().map(|t| t.name.to_string()).collect();
    shards.into_iter().map(names).collect()
}

#[test]
fn a_shard_ends_before_the_tensor_that_would_pass_the_limit() {
    let three = [("c", 1), ("a", 2), ("b", 2)];
    assert_eq!(planned(&three, 20), [vec!["a", "b", "c"]], "exactly full");
    assert_eq!(planned(&three, 19), [vec!["a", "b"], vec!["c"]]);
    assert_eq!(planned(&three, 16), [vec!["a", "b"], vec!["c"]]);
    assert_eq!(planned(&three, 15), [vec!["a"], vec!["b", "c"]]);
    assert_eq!(planned(&three, 8), [vec!["a"], vec!["b"], vec!["c"]]);
    assert_eq!(planned(&three, 1), [vec!["a"], vec!["b"], vec!["c"]]);
    // Larger than the limit by itself.
    let large = [("a", 1), ("b", 100), ("c", 1), ("d", 0)];
    assert_eq!(planned(&large, 40), [vec!["a"], vec!["b"], vec!["c", "d"]]);
    assert_eq!(planned(&[], 1), [Vec::<String>::new()]);
}

#[test]
fn shards_are_as_large_as_what_is_stored() {
    let values = [0.0; 4];
    let tensors = ["a", "b"].map(|name| NamedTensor::slice(name, vec![4], &values));
    assert_eq!(plan(&tensors, size(16)).unwrap().len(), 2);
    let halves = tensors.map(|tensor| tensor.stored_as(Float::BF16));
    assert_eq!(plan(&halves, size(16)).unwrap().len(), 1);
}

#[test]
fn plans_that_cannot_be_are_refused() {
    let same = ["a", "a"].map(|name| NamedTensor::slice(name, vec![1], &[0.0]));
    let error = plan(&same, size(1)).expect_err("the same name");
    assert_eq!(error, "two tensors are named `a`");
    let many: Vec<NamedTensor<'_>> = (0..=limits::SHARDS)
        .map(|i| NamedTensor::slice(i.to_string(), vec![1], &[0.0]))
        .collect();
    let error = plan(&many, size(1)).expect_err("too many");
    assert_eq!(
        error,
        "there would be 513 files, more than 512; choose a larger limit"
    );
}

/// Names of the files of a folder.
fn files(folder: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        names.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

#[test]
fn shards_read_back_and_replace_what_was_there() -> Result {
    let dir = faults::scratch()?;
    let folder = dir.path();
    let (a, b, c) = ([1.0, -0.5], [0.1; 3], [65_504.0]);
    let tensors = [
        NamedTensor::slice("a", vec![2], &a),
        NamedTensor::slice("b", vec![3, 1], &b),
        NamedTensor::slice("c", vec![1], &c),
    ];
    let metadata = [("config", "x"), ("format", "pt")];
    let metadata = metadata.map(|(k, v)| (k.to_owned(), v.to_owned())).into();

    assert_eq!(write_shards(folder, &metadata, &tensors, size(100))?, 1);
    assert_eq!(files(folder)?, BTreeSet::from(["model.safetensors".into()]));
    let whole = Weights::open(folder)?;
    let fingerprint = whole.fingerprint()?;

    assert_eq!(write_shards(folder, &metadata, &tensors, size(12))?, 3);
    let names = [
        "model-00001-of-00003.safetensors",
        "model-00002-of-00003.safetensors",
        "model-00003-of-00003.safetensors",
        "model.safetensors.index.json",
    ];
    assert_eq!(files(folder)?, names.map(str::to_owned).into());
    let json: serde_json::Value = serde_json::from_slice(&fs::read(folder.join(INDEX))?)?;
    assert_eq!(json["metadata"]["total_size"], 24);
    assert_eq!(json["weight_map"]["b"], names[1]);
    let shards = Weights::open(folder)?;
    assert_eq!((shards.n_files(), shards.metadata()), (3, &metadata));
    assert_eq!(shards.path(), folder.join(INDEX));
    assert_eq!(shards.fingerprint()?, fingerprint);
    shards.expect([("a", &[2][..]), ("b", &[3, 1]), ("c", &[1])])?;
    assert_eq!(shards.read("a")?, a);
    assert_eq!(shards.read_all(&candle_core::Device::Cpu)?.len(), 3);
    assert_eq!(
        Weights::open(&folder.join(INDEX))?.fingerprint()?,
        fingerprint
    );
    let second = ModelFile::open(&folder.join(names[1]))?;
    assert_eq!(second.metadata().keys().collect::<Vec<_>>(), ["format"]);

    let halves = tensors.clone().map(|tensor| tensor.stored_as(Float::F16));
    assert_eq!(write_shards(folder, &metadata, &halves, size(10))?, 2);
    assert_eq!(files(folder)?.len(), 3);
    let narrow = Weights::open(folder)?;
    assert_ne!(narrow.fingerprint()?, fingerprint);
    assert_eq!(narrow.read("c")?, c);
    assert_eq!(narrow.read("b")?, [0.099_975_586; 3]);

    assert_eq!(write_shards(folder, &metadata, &tensors, size(100))?, 1);
    assert_eq!(files(folder)?.len(), 1);
    assert_eq!(Weights::open(folder)?.fingerprint()?, fingerprint);
    Ok(())
}

/// Writes version `v` of two tensors, in two files or in one.
fn save(disk: &dyn Disk, folder: &Path, v: u64) -> std::result::Result<usize, FileError> {
    let values = [v as f32; 2];
    let tensors = ["a", "b"].map(|name| NamedTensor::slice(name, vec![2], &values));
    // The third is in one file, so each form replaces each.
    let limit = if v == 3 { 100 } else { 8 };
    write_shards_on(disk, folder, &BTreeMap::new(), &tensors, size(limit))
}

/// The version that a folder holds, if it holds any; two at a time are an error.
fn version(folder: &Path) -> Option<u64> {
    let weights = Weights::open(folder).ok()?;
    let (a, b) = (weights.read("a").unwrap(), weights.read("b").unwrap());
    assert_eq!(a, b, "some of each");
    Some(a[0] as u64)
}

#[test]
fn after_a_power_cut_there_are_the_former_weights_or_the_new_ones_or_none() -> Result {
    let dir = faults::scratch()?;
    let disk = PowerCutDisk::new(dir.path());
    for v in 1..=5 {
        save(&disk, dir.path(), v)?;
        disk.mark(v);
        assert_eq!(version(dir.path()), Some(v));
    }
    let mut seen = BTreeSet::new();
    let states = disk.for_each_state(|state, mark| {
        let found = version(state);
        let saved = mark.unwrap_or(0);
        if let Some(found) = found {
            assert!(
                found == saved || found == saved + 1,
                "{found} after {saved}"
            );
        }
        // One file replaces whatever is there without a moment of nothing.
        if saved == 2 || saved == 5 {
            assert!(found.is_some());
        }
        seen.insert((saved, found));
    });
    assert!(states > 100, "{states}");
    for v in 1..=5 {
        assert!(seen.contains(&(v, Some(v))) && seen.contains(&(v - 1, Some(v))));
    }
    Ok(())
}

#[test]
fn whichever_operation_fails_nothing_is_half_there() -> Result {
    for n in 0.. {
        let dir = faults::scratch()?;
        save(&crate::durable::OsDisk, dir.path(), 1)?;
        let disk = faults::FaultyDisk::once(n, faults::ENOSPC);
        let outcome = save(&disk, dir.path(), 2);
        assert_eq!(outcome.is_err(), disk.tripped(), "operation {n}");
        let found = version(dir.path());
        if !disk.tripped() {
            assert_eq!(found, Some(2));
            assert!(n >= 15, "three files of five operations each: {n}");
            return Ok(());
        }
        assert!(found != Some(3), "operation {n}");
    }
    Ok(())
}
