use std::io::Write;

use super::*;

type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

/// A file as `numpy.save` writes it.
fn npy(descr: &str, fortran: bool, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((text.len() as u16).to_le_bytes());
    file.extend(text.as_bytes());
    file.extend(bytes);
    file
}

fn read(file: &[u8]) -> Result<Array> {
    Array::from_reader(&mut &*file, &Place::file("a.npy"))
}

#[test]
fn every_type_becomes_its_numbers() -> TestResult {
    let floats: Vec<u8> = [1.5f32, -2.0]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    assert_eq!(
        read(&npy("<f4", false, "(2,)", &floats))?,
        Array {
            shape: vec![2],
            numbers: Numbers::Floats(vec![1.5, -2.0])
        }
    );
    let doubles = 0.1f64.to_be_bytes();
    assert_eq!(
        read(&npy(">f8", false, "()", &doubles))?.numbers,
        Numbers::Floats(vec![0.1])
    );
    let shorts = [0xff, 0xfe];
    assert_eq!(
        read(&npy(">i2", false, "(1,)", &shorts))?.numbers,
        Numbers::Integers(vec![-2])
    );
    assert_eq!(
        read(&npy("<u2", false, "(1,)", &shorts))?.numbers,
        Numbers::Integers(vec![0xfeff])
    );
    let bytes = read(&npy("|u1", false, "(2, 1)", &[3, 255]))?;
    assert_eq!(bytes.to_f32(), [3.0, 255.0]);
    assert_eq!(bytes.to_i64(), Some(vec![3, 255]));
    Ok(())
}

#[test]
fn column_major_arrays_are_turned() -> TestResult {
    // [[0, 1, 2], [3, 4, 5]] with its columns one after the other.
    let array = read(&npy("|u1", true, "(2, 3)", &[0, 3, 1, 4, 2, 5]))?;
    assert_eq!(array.numbers, Numbers::Bytes(vec![0, 1, 2, 3, 4, 5]));
    let cube: Vec<u8> = (0..24).collect();
    let array = read(&npy("|u1", true, "(2, 3, 4)", &cube))?;
    let Numbers::Bytes(turned) = array.numbers else {
        return Err("not bytes".into());
    };
    for (i, j, k) in [(0, 0, 0), (1, 2, 3), (0, 1, 2), (1, 0, 3)] {
        assert_eq!(
            usize::from(turned[(i * 3 + j) * 4 + k]),
            i + 2 * (j + 3 * k)
        );
    }
    assert!(read(&npy("|u1", true, "(0, 3)", &[]))?.is_empty());
    Ok(())
}

#[test]
fn damaged_arrays_are_refused_on_one_line() {
    let good = npy("<f4", false, "(2,)", &[0; 8]);
    for (file, fault) in [
        (vec![], "ends inside its header"),
        (b"\x89PNG\r\n\x1a\n....".to_vec(), "does not start with"),
        (good[..20].to_vec(), "ends inside its header"),
        (
            good[..good.len() - 1].to_vec(),
            "promises 8 bytes of numbers, but there are 7",
        ),
        (
            [&good[..], b"x"].concat(),
            "promises 8 bytes of numbers, but there are more",
        ),
        (
            npy("<f8", false, "(99999999999, 99999999999)", &[]),
            "more than 4294967296 bytes",
        ),
        (npy("<f4", false, "(1000000000,)", &[0; 8]), "there are 8"),
        (b"\x93NUMPY\x09\x00\x00\x00".to_vec(), "format version 9"),
        (
            b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(),
            "header of 4294967295",
        ),
    ] {
        let line = read(&file).unwrap_err().to_string();
        assert!(
            line.starts_with("a.npy: ") && line.contains(fault),
            "{line}"
        );
        assert!(!line.contains('\n'), "{line}");
    }
}

#[test]
fn archives_hold_arrays_by_name() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("a.npz");
    let mut archive = zip::ZipWriter::new(File::create(&path)?);
    for (name, method) in [
        ("x", zip::CompressionMethod::Deflated),
        ("y", zip::CompressionMethod::Stored),
    ] {
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        archive.start_file(format!("{name}.npy"), options)?;
        archive.write_all(&npy("|u1", false, "(3,)", &[1, 2, 3]))?;
    }
    archive.start_file("bad.npy", zip::write::SimpleFileOptions::default())?;
    archive.write_all(b"no array")?;
    archive.finish()?;

    let mut npz = Npz::open(&path)?;
    assert_eq!(npz.names(), ["x", "y", "bad"]);
    assert_eq!(npz.read("x")?, npz.read("y")?);
    let missing = npz.read("z").unwrap_err().to_string();
    assert!(missing.contains("no column `z`"), "{missing}");
    let damaged = npz.read("bad").unwrap_err().to_string();
    assert!(
        damaged.contains("a.npz/bad: not a NumPy array"),
        "{damaged}"
    );

    std::fs::write(&path, b"PK\x03\x04 and nothing more")?;
    let error = Npz::open(&path).unwrap_err().to_string();
    assert!(error.contains("not a .npz archive"), "{error}");
    Ok(())
}
