use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde_json::json;

use super::*;
use crate::durable::faults::scratch;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn strings(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries
        .iter()
        .map(|(k, v)| ((*k).into(), (*v).into()))
        .collect()
}

/// A file of `header` and `data`, its length field honest.
fn raw(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Result<Self> {
        Ok(Self(scratch()?))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("m.safetensors")
    }

    fn open(&self, bytes: &[u8]) -> std::result::Result<ModelFile, ModelFileError> {
        fs::write(self.path(), bytes).unwrap();
        ModelFile::open(&self.path())
    }

    fn defect(&self, bytes: &[u8]) -> Defect {
        match self.open(bytes) {
            Err(ModelFileError::Defective { defect, .. }) => defect,
            other => panic!("not a defect: {other:?}"),
        }
    }
}

#[test]
fn what_is_written_reads_back_here_and_with_the_reference_crate() -> Result {
    let folder = Folder::new()?;
    let (w, b) = ([1.0, -2.5, f32::MIN_POSITIVE, f32::NAN, 5.0, 6.0], [0.25]);
    let metadata = strings(&[("config", "[model]\nkind = \"x\"\n"), ("a", "ü")]);
    let tensors = [
        NamedTensor::slice("w", vec![2, 3], &w),
        NamedTensor::slice("b", vec![1], &b),
    ];
    write_model_file(&folder.path(), &metadata, &tensors)?;

    let file = ModelFile::open(&folder.path())?;
    assert_eq!(file.metadata(), &metadata);
    file.expect([("w", &[2, 3][..]), ("b", &[1][..])])?;
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&file.read("w")?), bits(&w));
    let mut into = [0.0];
    file.read_into("b", &mut into)?;
    assert_eq!(into, b);

    let bytes = fs::read(folder.path())?;
    let reference = safetensors::SafeTensors::deserialize(&bytes)?;
    assert_eq!(reference.tensor("w")?.shape(), [2, 3]);
    assert_eq!(reference.tensor("b")?.data(), 0.25f32.to_le_bytes());
    let (_, reference) = safetensors::SafeTensors::read_metadata(&bytes)?;
    assert_eq!(reference.metadata().as_ref().map(|m| m.len()), Some(2));
    assert_eq!(
        (bytes.len() - 4 * 7) % 8,
        0,
        "data begin at a multiple of 8"
    );
    Ok(())
}

#[test]
fn the_order_of_the_tensors_does_not_change_the_bytes() -> Result {
    let (a, b) = (
        NamedTensor::slice("a", vec![1], &[1.0]),
        NamedTensor::slice("b", vec![1], &[2.0]),
    );
    let (mut one, mut two) = (Vec::new(), Vec::new());
    write_tensors(&mut one, &BTreeMap::new(), &[a.clone(), b.clone()])?;
    write_tensors(&mut two, &BTreeMap::new(), &[b, a])?;
    assert_eq!(one, two);
    Ok(())
}

#[test]
fn candle_tensors_are_written_as_they_read() -> Result {
    let folder = Folder::new()?;
    let x = Tensor::arange(0f32, 6f32, &Device::Cpu)?.reshape((2, 3))?;
    let (transposed, rows) = (x.t()?, x.narrow(0, 1, 1)?);
    let double = x.to_dtype(DType::F64)?;
    let tensors = [
        NamedTensor::tensor("plain", &x),
        NamedTensor::tensor("transposed", &transposed),
        NamedTensor::tensor("rows", &rows),
        NamedTensor::tensor("double", &double),
    ];
    write_model_file(&folder.path(), &BTreeMap::new(), &tensors)?;
    let file = ModelFile::open(&folder.path())?;
    assert_eq!(file.read("plain")?, [0., 1., 2., 3., 4., 5.]);
    assert_eq!(file.read("transposed")?, [0., 3., 1., 4., 2., 5.]);
    assert_eq!(file.tensors()["transposed"].shape, [3, 2]);
    assert_eq!(file.read("rows")?, [3., 4., 5.]);
    assert_eq!(file.read("double")?, [0., 1., 2., 3., 4., 5.]);
    let all = file.read_all(&Device::Cpu)?;
    assert_eq!(all.len(), 4);
    assert_eq!(
        all["transposed"].to_vec2::<f32>()?,
        x.t()?.to_vec2::<f32>()?
    );
    Ok(())
}

#[test]
fn a_tensor_whose_shape_is_not_its_length_is_refused_when_written() {
    let tensors = [NamedTensor::slice("a", vec![3], &[1.0])];
    let error = write_tensors(&mut Vec::new(), &BTreeMap::new(), &tensors);
    assert!(error.is_err());
}

#[test]
fn every_float_type_becomes_f32_and_others_are_named() -> Result {
    let folder = Folder::new()?;
    let header = json!({
        "f16": { "dtype": "F16", "shape": [2], "data_offsets": [0, 4] },
        "bf16": { "dtype": "BF16", "shape": [1], "data_offsets": [4, 6] },
        "i16": { "dtype": "I16", "shape": [1], "data_offsets": [6, 8] },
        "f64": { "dtype": "F64", "shape": [1], "data_offsets": [8, 16] },
        "none": { "dtype": "F32", "shape": [0, 3], "data_offsets": [16, 16] },
        "scalar": { "dtype": "F32", "shape": [], "data_offsets": [16, 20] },
    });
    let mut data = vec![0x00, 0x3c, 0x00, 0xc0, 0x80, 0x3f, 1, 0];
    data.extend(0.5f64.to_le_bytes());
    data.extend(7f32.to_le_bytes());
    let file = folder.open(&raw(&header.to_string(), &data))?;
    assert_eq!(file.read("f16")?, [1.0, -2.0]);
    assert_eq!(file.read("bf16")?, [1.0]);
    assert_eq!(file.read("f64")?, [0.5]);
    assert_eq!(file.read("none")?, [0.0; 0]);
    assert_eq!(file.read("scalar")?, [7.0]);
    let message = file
        .read("i16")
        .expect_err("integers are no weights")
        .to_string();
    assert!(message.contains("tensor `i16` holds I16"), "{message}");
    assert!(matches!(
        file.read("x"),
        Err(ModelFileError::NoSuchTensor { .. })
    ));
    assert!(matches!(
        file.read_into("f64", &mut [0.0; 2]),
        Err(ModelFileError::Misfits { .. })
    ));
    Ok(())
}

#[test]
fn every_misfit_is_listed_in_order() -> Result {
    let folder = Folder::new()?;
    let tensors = [
        NamedTensor::slice("b", vec![2], &[1.0; 2]),
        NamedTensor::slice("c", vec![1], &[1.0]),
        NamedTensor::slice("d", vec![1], &[1.0]),
    ];
    write_model_file(&folder.path(), &BTreeMap::new(), &tensors)?;
    let file = ModelFile::open(&folder.path())?;
    let error = file
        .expect([("a", &[1][..]), ("b", &[3][..]), ("c", &[1][..])])
        .expect_err("three tensors differ");
    let message = error.to_string();
    let end = "`a` is missing, `b` has shape [2] instead of [3], `d` is unexpected; \
               the file is of another model";
    assert!(message.ends_with(end), "{message}");
    assert_eq!(message.lines().count(), 1);
    Ok(())
}

#[test]
fn the_sixteen_tensors_that_overflow_the_reference_reader_are_refused() -> Result {
    const EXA: u64 = 1 << 60;
    let mut entries = serde_json::Map::new();
    for i in 0..15 {
        let entry =
            json!({ "dtype": "U8", "shape": [EXA], "data_offsets": [i * EXA, (i + 1) * EXA] });
        entries.insert(format!("t{i:02}"), entry);
    }
    let last = json!({ "dtype": "U8", "shape": [EXA - 1], "data_offsets": [15 * EXA, u64::MAX] });
    entries.insert("z".into(), last);
    let bytes = raw(&serde_json::Value::Object(entries).to_string(), &[]);
    assert!(matches!(
        Folder::new()?.defect(&bytes),
        Defect::Range { .. }
    ));
    Ok(())
}

#[test]
fn hostile_headers_are_refused_with_the_reason() -> Result {
    let folder = Folder::new()?;
    let one = |entry: &str, data: usize| raw(&format!("{{\"a\":{entry}}}"), &vec![0; data]);
    let with = |dtype: &str, shape: &str, range: &str| {
        format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":{range}}}"#)
    };
    let header = |json: &str| folder.defect(&raw(json, &[])).to_string();

    for n in 0..8 {
        assert_eq!(
            folder.defect(&vec![0; n]),
            Defect::TooShort { bytes: n as u64 }
        );
    }
    assert!(matches!(
        folder.defect(&(1u64 << 63).to_le_bytes()),
        Defect::HeaderPastEnd { .. }
    ));
    assert!(matches!(
        folder.defect(&u64::MAX.to_le_bytes()),
        Defect::HeaderPastEnd { .. }
    ));
    assert!(header("").contains("does not begin"));
    assert!(header(" {}").contains("does not begin"));
    assert!(header("[1]").contains("does not begin"));
    assert!(header("{\"a\":").contains("EOF"));
    assert!(header("{} {}").contains("trailing"));
    assert!(header("{\"a\":NaN}").contains("line 1"));
    assert!(header(r#"{"__metadata__":{"a":1}}"#).contains("string"));
    assert!(header(r#"{"__metadata__":{"a":"1","a":"2"}}"#).contains("twice"));
    assert!(header(r#"{"__metadata__":{},"__metadata__":{}}"#).contains("twice"));
    assert!(header(&format!("{{\"{}\":0}}", "x".repeat(513))).contains("513 bytes"));
    assert!(header(&format!("{}0", "{\"a\":".repeat(100_000))).contains("unknown field"));

    let ok = with("U8", "[1]", "[0,1]");
    let twice = raw(&format!("{{\"a\":{ok},\"a\":{ok}}}"), &[0]);
    assert!(
        folder
            .defect(&twice)
            .to_string()
            .contains("`a` is there twice")
    );
    let rank = folder.defect(&one(&with("U8", &format!("{:?}", [1; 1000]), "[0,1]"), 1));
    assert!(rank.to_string().contains("at most 8 sizes"), "{rank}");
    assert!(
        matches!(folder.defect(&one(&with("F4", "[2]", "[0,1]"), 1)),
        Defect::UnknownDtype { dtype, .. } if dtype == "F4")
    );
    for shape in [
        "[4294967296,4294967296]",
        "[18446744073709551615,8]",
        "[2305843009213693952]",
    ] {
        let defect = folder.defect(&one(&with("F64", shape, "[0,0]"), 0));
        assert!(matches!(defect, Defect::Overflow { .. }), "{defect}");
    }
    for range in ["[1,0]", "[0,2]", "[0,18446744073709551615]", "[1,2]"] {
        let defect = folder.defect(&one(&with("U8", "[1]", range), 1));
        assert!(matches!(defect, Defect::Range { .. }), "{range}: {defect}");
    }
    for field in [
        "\"shape\":[-1]",
        "\"shape\":[1.5]",
        "\"shape\":{}",
        "\"x\":0",
    ] {
        let json = format!(r#"{{"a":{{"dtype":"U8",{field},"data_offsets":[0,1]}}}}"#);
        assert!(
            matches!(folder.defect(&raw(&json, &[0])), Defect::Header(_)),
            "{field}"
        );
    }
    let two = |a: &str, b: &str, data: usize| {
        let (a, b) = (with("U8", "[1]", a), with("U8", "[1]", b));
        folder.defect(&raw(&format!("{{\"a\":{a},\"b\":{b}}}"), &vec![0; data]))
    };
    assert!(
        matches!(two("[0,1]", "[0,1]", 2), Defect::NotContiguous { .. }),
        "overlap"
    );
    assert!(
        matches!(two("[0,1]", "[2,3]", 3), Defect::NotContiguous { .. }),
        "hole"
    );
    assert!(
        matches!(two("[0,1]", "[1,2]", 3), Defect::Length { .. }),
        "trailing bytes"
    );
    let utf8 = [&10u64.to_le_bytes()[..], b"{\"\xff\xfe\":{}}"].concat();
    assert!(matches!(
        folder.defect(&utf8),
        Defect::Header(_) | Defect::HeaderPastEnd { .. }
    ));
    Ok(())
}

#[test]
fn more_tensors_or_header_than_any_model_has_are_refused() -> Result {
    let folder = Folder::new()?;
    let entry = r#":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#;
    let entries: Vec<String> = (0..=limits::TENSORS)
        .map(|i| format!("\"{i}\"{entry}"))
        .collect();
    let defect = folder.defect(&raw(&format!("{{{}}}", entries.join(",")), &[]));
    assert!(
        defect.to_string().contains("more than 100000 tensors"),
        "{defect}"
    );
    let long = raw(&format!("{{}}{}", " ".repeat(limits::HEADER as usize)), &[]);
    assert!(matches!(folder.defect(&long), Defect::HeaderTooLong { .. }));
    Ok(())
}

#[test]
fn what_is_not_a_file_is_refused_without_waiting_for_it() -> Result {
    let not_a_file = |path: &Path| {
        matches!(
            ModelFile::open(path),
            Err(ModelFileError::Defective {
                defect: Defect::NotAFile,
                ..
            })
        )
    };
    assert!(not_a_file(tempfile::tempdir()?.path()));
    assert!(not_a_file(Path::new("/dev/zero")));
    let missing = ModelFile::open(Path::new("/nonexistent/m.safetensors"));
    assert!(matches!(missing, Err(ModelFileError::File(_))));
    Ok(())
}

/// Opens and reads all of a file; whatever is in it, this must return.
fn use_all(folder: &Folder, bytes: &[u8]) -> std::result::Result<(), ModelFileError> {
    let file = folder.open(bytes)?;
    for (name, info) in file.tensors() {
        assert!(info.elements() <= bytes.len());
        file.read(name)?;
    }
    Ok(())
}

#[test]
fn no_changed_byte_and_no_length_makes_the_reader_panic() -> Result {
    let folder = Folder::new()?;
    let mut bytes = Vec::new();
    let values = [1.5; 6];
    let tensors = [
        NamedTensor::slice("wq", vec![2, 2], &values[..4]),
        NamedTensor::slice("b", vec![2], &values[..2]),
    ];
    write_tensors(&mut bytes, &strings(&[("k", "v")]), &tensors)?;
    use_all(&folder, &bytes)?;
    let data = bytes.len() - 6 * 4;
    for at in 0..data {
        for mutate in [|b: u8| b ^ 1, |b: u8| b ^ 0x80, |_| 0, |_| 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = mutate(damaged[at]);
            // A changed name or string is sound; all that counts is that it returns.
            let _ = use_all(&folder, &damaged);
        }
    }
    for n in 0..bytes.len() {
        assert!(use_all(&folder, &bytes[..n]).is_err(), "cut to {n} bytes");
    }
    for n in 1..=16 {
        let longer = [&bytes[..], &vec![b' '; n]].concat();
        assert!(use_all(&folder, &longer).is_err(), "{n} bytes more");
    }
    Ok(())
}
