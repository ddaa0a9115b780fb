//! Images that are damaged or lie: each is an error of one line with its place.

use data::Open;
use data::image::ImageData;
use serde_json::{Value, json};

use crate::images::{config, idx, npy, npz, png};
use crate::{Folder, TestResult};

/// What opening `path` says, after checking that it is one line with a remedy.
fn said(path: &std::path::Path, mut table: Value) -> Result<String, Box<dyn std::error::Error>> {
    table["path"] = path.to_string_lossy().into();
    let Err(error) = ImageData::open(&config(table)?, &Open::default()) else {
        return Err(format!("{} was accepted", path.display()).into());
    };
    let error = error.to_string();
    assert!(!error.contains('\n') && error.contains("; "), "{error}");
    Ok(error)
}

#[test]
fn idx_files_that_lie() -> TestResult {
    let folder = Folder::new()?;
    let good = idx(&[2], &[0, 1]);
    let cases: Vec<(Vec<u8>, Vec<u8>, &str)> = vec![
        (
            vec![],
            good.clone(),
            "images.idx: ends in its header; fetch the file again",
        ),
        (
            b"PK\x03\x04".to_vec(),
            good.clone(),
            "images.idx: not an IDX file: it starts with the bytes [80, 75, 3, 4]",
        ),
        (
            [&[0, 0, 13, 3][..], &[0; 12]].concat(),
            good.clone(),
            "images.idx: an IDX file of type 13, not of bytes (8)",
        ),
        (
            idx(&[2, 3, 3], &[7; 17]),
            good.clone(),
            "images.idx: says that its sizes are [2, 3, 3], but ends in entry 1",
        ),
        (
            idx(&[2, 3, 3], &[7; 19]),
            good.clone(),
            "images.idx: says that its sizes are [2, 3, 3], but more bytes follow",
        ),
        (
            idx(&[u32::MAX, 16_384, 16_384], &[7; 19]),
            idx(&[u32::MAX], &[0, 1]),
            "images.idx: says that its sizes are [4294967295, 16384, 16384], but ends in entry 0",
        ),
        (
            idx(&[2, u32::MAX, u32::MAX], &[7; 19]),
            good.clone(),
            "images.idx: says that its sizes are [2, 4294967295, 4294967295], but a side has 1 to 16384",
        ),
        (
            idx(&[2, 0, 3], &[]),
            good.clone(),
            "images.idx: says that its sizes are [2, 0, 3], but a side has 1 to 16384",
        ),
        (
            idx(&[18], &[7; 18]),
            good.clone(),
            "images.idx: says that its sizes are [18], but pictures have 3 sizes",
        ),
        (
            idx(&[2, 3, 3], &[7; 18]),
            idx(&[3], &[0, 1, 0]),
            "labels.idx: says that its sizes are [3], but ",
        ),
    ];
    for (images, labels, message) in cases {
        let path = folder.write("images.idx", &images)?;
        folder.write("labels.idx", &labels)?;
        let said = said(&path, json!({}))?;
        assert!(said.contains(message), "{said}\n{message}");
    }
    let path = folder.write("pictures.idx", idx(&[2, 3, 3], &[7; 18]))?;
    assert!(said(&path, json!({}))?.contains("name the file of labels: `labels`"));
    Ok(())
}

#[test]
fn archives_that_lie() -> TestResult {
    let folder = Folder::new()?;
    let images = |shape: &str, n: usize| npy("|u1", shape, &vec![7; n]);
    let labels = npy("|u1", "(2,)", &[0, 1]);
    let fraction = npy("<f4", "(2, 1, 1)", &[0, 0, 0, 0, 0, 0, 192, 63]);
    let nan = npy("<f4", "(2, 1, 1)", &[0, 0, 192, 127, 0, 0, 0, 0]);
    let fractions = npy("<f4", "(2,)", &[0; 8]);
    for (images, labels, message) in [
        (
            images("(2, 3)", 6),
            &labels,
            "a.npz: array `images` has the shape [2, 3], but images have 3 sizes, or 4; name",
        ),
        (
            images("(2, 0, 3)", 0),
            &labels,
            "array `images` has the shape [2, 0, 3], but a side has 1 to 16384 pixels",
        ),
        (
            images("(2, 1, 1, 2)", 4),
            &labels,
            "array `images` has the shape [2, 1, 1, 2], but a side has 1 to 16384 pixels, a \
             pixel 1 or 3",
        ),
        (
            images("(3, 1, 1)", 3),
            &labels,
            "array `labels` has the shape [2], but 3 images need as many integers",
        ),
        (
            images("(2, 1, 1)", 2),
            &fractions,
            "array `labels` has the shape [2], but 2 images need as many integers",
        ),
        (
            fraction,
            &labels,
            "a.npz[1]: a pixel of 1.5, not from 0 to max_value = 1; set `max_value`",
        ),
        (nan, &labels, "a.npz[0]: a pixel of NaN"),
        (
            npy("|u1", "(2, 3, 3)", &[7; 17]),
            &labels,
            "a.npz/images: the header promises 18 bytes of numbers, but there are 17",
        ),
    ] {
        let arrays = npz(&[("images", &images), ("labels", labels)])?;
        let said = said(&folder.write("a.npz", arrays)?, json!({}))?;
        assert!(said.contains(message), "{said}\n{message}");
    }
    let no_labels = npz(&[("images", &images("(2, 1, 1)", 2))])?;
    let path = folder.write("b.npz", no_labels)?;
    assert!(said(&path, json!({}))?.contains("no column `labels`"));
    let path = folder.write("c.npz", "no archive")?;
    assert!(said(&path, json!({}))?.contains("c.npz"));
    Ok(())
}

#[test]
fn labels_outside_the_classes_are_found_in_their_file() -> TestResult {
    let folder = Folder::new()?;
    let path = folder.write("images.idx", idx(&[3, 1, 1], &[1, 2, 3]))?;
    folder.write("labels.idx", idx(&[3], &[0, 1, 7]))?;
    let message = said(&path, json!({"classes": ["cat", "dog"]}))?;
    assert!(
        message.contains("labels.idx[2]: label `7` is not one of the classes"),
        "{message}"
    );
    // A test image of a class that was never trained.
    folder.write("labels.idx", idx(&[3], &[0, 1, 1]))?;
    let test = folder.write("test-images.idx", idx(&[1, 1, 1], &[9]))?;
    folder.write("test-labels.idx", idx(&[1], &[2]))?;
    let table = json!({"path": path, "test": test, "val_fraction": 0.0});
    let data = ImageData::open(&config(table)?, &Open::default())?;
    let message = data.test().map(drop).unwrap_err().to_string();
    assert!(
        message.contains("test-labels.idx[0]: label `2`"),
        "{message}"
    );
    Ok(())
}

#[test]
fn tables_of_files() -> TestResult {
    let folder = Folder::new()?;
    folder.write("a.png", png(&[1, 2, 3, 4], 2, 2))?;
    folder.write("wide.png", png(&[1, 2, 3, 4], 4, 1))?;
    folder.write("text.png", "hello")?;
    for (rows, message) in [
        (
            "path,label\n../a.png,x\n",
            ".csv:2: the path `../a.png` leaves the folder of the table; move",
        ),
        (
            "path,label\na.png,x\n/etc/passwd,x\n",
            ".csv:3: the path `/etc/passwd` leaves the folder of the table",
        ),
        (
            "path,label\na.png\n",
            ".csv:2: 1 fields, but the header has 2",
        ),
        (
            "file,label\na.png,x\n",
            ".csv:1: no column `path`; the columns are `file`, `label`",
        ),
        ("path,label\ngone.png,x\n", ".csv:2: "),
        (
            "path,label\ntext.png,x\n",
            "text.png: neither PNG nor JPEG; convert",
        ),
        (
            "path,label\na.png,x\nwide.png,y\n",
            "wide.png: 4x1 pixels, but others have 2x2; set `resize = [height, width]`",
        ),
        ("path,label\na.png,x\n", ".csv: only one class, `x`"),
        ("path,label\n", ".csv: no pictures that can be used"),
    ] {
        let path = folder.write("t.csv", rows)?;
        let said = said(&path, json!({}))?;
        assert!(said.contains(message), "{said}\n{message}");
    }
    let path = folder.write("t.csv", "path,label\na.png,x\nwide.png,y\n")?;
    let table = json!({"path": path, "resize": [2, 2], "val_fraction": 0.0});
    ImageData::open(&config(table)?, &Open::default())?;
    Ok(())
}

#[test]
fn tables_of_pixels() -> TestResult {
    let folder = Folder::new()?;
    for (rows, message) in [
        (
            "1,2,3,4,0\n1,2,x,4,1\n",
            ".csv:2: column 3 is `x`, not a number from 0 to max_value = 16",
        ),
        ("1,2,3,17,0\n", ".csv:1: column 4 is `17`, not a number"),
        ("1,2,3,-1,0\n", ".csv:1: column 4 is `-1`, not a number"),
        ("1,2,3,NaN,0\n", ".csv:1: column 4 is `NaN`, not a number"),
        (
            "1,2,3,4,0\n1,2,3,4\n",
            ".csv:2: 4 fields, but the header has 5",
        ),
        (
            "1,2,3,4,5,0\n",
            ".csv:1: 5 numbers beside the label are no picture of 2x2 pixels",
        ),
        ("", ".csv: holds no text"),
        ("a,b,c,d,label\n", ".csv: no pictures that can be used"),
        ("a,b,c,d,e\n", ".csv:1: no column `label`"),
    ] {
        let path = folder.write("p.csv", rows)?;
        let said = said(&path, json!({"height": 2, "width": 2, "max_value": 16.0}))?;
        assert!(said.contains(message), "{said}\n{message}");
    }
    Ok(())
}

#[test]
fn folders() -> TestResult {
    let folder = Folder::new()?;
    std::fs::create_dir(folder.path("empty"))?;
    let message = said(&folder.path("empty"), json!({}))?;
    assert!(
        message.contains("empty: no folders in this folder"),
        "{message}"
    );
    folder.write("tree/cat/a.png", png(&[1], 1, 1))?;
    std::fs::create_dir(folder.path("tree/dog"))?;
    let message = said(&folder.path("tree"), json!({}))?;
    assert!(message.contains("dog: no .png, .jpg or .jpeg"), "{message}");
    let message = said(&folder.path("gone"), json!({}))?;
    assert!(
        message.contains("gone: cannot read: No such file"),
        "{message}"
    );
    Ok(())
}

#[test]
fn what_cannot_be_used_may_be_left_out_up_to_a_cap() -> TestResult {
    let folder = Folder::new()?;
    for (name, bytes) in [
        ("cat/a.png", png(&[1], 1, 1)),
        ("cat/b.png", b"\x89PNG\r\n".to_vec()),
        ("dog/c.png", png(&[1, 2], 2, 1)),
        ("dog/d.png", png(&[9], 1, 1)),
    ] {
        folder.write(&format!("tree/{name}"), bytes)?;
    }
    let path = folder.path("tree");
    let table = json!({"path": path, "on_error": "skip", "val_fraction": 0.0});
    let data = ImageData::open(&config(table)?, &Open::default())?;
    assert_eq!(data.train().len(), 2);
    let message = said(&path, json!({"on_error": "skip", "max_skipped": 1}))?;
    assert!(
        message.contains("c.png: 2x1 pixels, but others have 1x1"),
        "{message}"
    );
    assert!(said(&path, json!({}))?.contains("b.png: damaged PNG: "));
    Ok(())
}
