//! Images in every form, from files to batches.

use attn_core::input::ImageShape;
use attn_core::{Input, Pattern, Targets};
use data::image::{ImageData, ImageDataConfig};
use data::{Batch, Loader, Open, Prefetch, Sample, Samples, pass};
use image::{ExtendedColorType, ImageEncoder};
use serde_json::{Value, json};

use crate::{Folder, TestResult};

pub(crate) fn png(pixels: &[u8], width: u32, height: u32) -> Vec<u8> {
    let colour = match pixels.len() as u32 / width / height {
        1 => ExtendedColorType::L8,
        _ => ExtendedColorType::Rgb8,
    };
    let mut bytes = Vec::new();
    image::codecs::png::PngEncoder::new(&mut bytes)
        .write_image(pixels, width, height, colour)
        .expect("encodes");
    bytes
}

/// An IDX file of bytes with these sizes.
pub(crate) fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(values);
    bytes
}

/// A `.npy` file, as `numpy.save` writes it, of numbers of this type in row-major order.
pub(crate) fn npy(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((text.len() as u16).to_le_bytes());
    file.extend(text.as_bytes());
    file.extend(bytes);
    file
}

/// An `.npz` archive of arrays by name.
pub(crate) fn npz(arrays: &[(&str, &[u8])]) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, npy) in arrays {
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file(format!("{name}.npy"), options)?;
        std::io::Write::write_all(&mut archive, npy)?;
    }
    Ok(archive.finish()?.into_inner())
}

pub(crate) fn gzipped(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), Default::default());
    std::io::Write::write_all(&mut packed, bytes)?;
    packed.finish()
}

pub(crate) fn config(table: Value) -> serde_json::Result<ImageDataConfig> {
    serde_json::from_value(table)
}

fn open(table: Value) -> Result<ImageData, Box<dyn std::error::Error>> {
    Ok(ImageData::open(&config(table)?, &Open::default())?)
}

fn pixels(batch: &Batch) -> &[f32] {
    match &batch.input {
        Input::Images(images) => images.pixels(),
        _ => &[],
    }
}

fn classes(batch: &Batch) -> &[u32] {
    match &batch.targets {
        Targets::Classes(classes) => classes,
        _ => &[],
    }
}

/// All of a split as bytes, and the classes.
fn whole(samples: &dyn Samples) -> data::Result<(Vec<u8>, Vec<u32>)> {
    let (mut all, mut targets) = (Vec::new(), Vec::new());
    for batch in pass(samples, &Pattern::Full, 3) {
        let batch = batch?;
        all.extend(pixels(&batch).iter().map(|x| (x * 255.0).round() as u8));
        targets.extend(classes(&batch));
    }
    Ok((all, targets))
}

/// The same four pictures of 2 x 3 pixels, in two classes.
const PIXELS: [[u8; 6]; 4] = [
    [0, 1, 2, 3, 4, 5],
    [10, 11, 12, 13, 14, 15],
    [20, 21, 22, 23, 24, 25],
    [250, 251, 252, 253, 254, 255],
];

#[test]
fn every_format_gives_the_same_images() -> TestResult {
    let folder = Folder::new()?;
    for (i, pixels) in PIXELS.iter().enumerate() {
        let png = png(pixels, 3, 2);
        folder.write(&format!("tree/{}/{i}.png", ["3", "10"][i / 2]), &png)?;
        folder.write(&format!("files/{i}.png"), &png)?;
    }
    folder.write("tree/3/notes.txt", "not a picture")?;
    let rows = |row: &dyn Fn(usize) -> String| (0..4).map(row).collect::<String>();
    let label = |i: usize| ["3", "10"][i / 2];
    let manifest = rows(&|i| format!("files/{i}.png,{}\n", label(i)));
    let numbers = |i: usize| PIXELS[i].map(|p| p.to_string()).join(",");
    let plain = rows(&|i| format!("{},{}\n", numbers(i), label(i)));
    let first = rows(&|i| format!("{},{}\n", label(i), numbers(i)));
    let images = idx(&[4, 2, 3], &PIXELS.concat());
    let labels = idx(&[4], &[3, 3, 10, 10]);
    let size = |mut table: Value| {
        table["height"] = 2.into();
        table["width"] = 3.into();
        table
    };
    folder.write("plain-labels.idx", &labels)?;
    folder.write("packed-labels-idx1.gz", gzipped(&labels)?)?;
    let header = format!("label,a,b,c,d,e,f\n{first}");
    let cases = [
        (folder.path("tree"), json!({})),
        (
            folder.write("m.csv", format!("path,label\n{manifest}"))?,
            json!({}),
        ),
        (folder.write("p.csv", &plain)?, size(json!({}))),
        (
            folder.write("p.csv.gz", gzipped(plain.as_bytes())?)?,
            size(json!({"format": "pixels"})),
        ),
        (
            folder.write("first.csv", &first)?,
            size(json!({"label_column": "first"})),
        ),
        (folder.write("named.csv", header)?, size(json!({}))),
        (folder.write("plain-images.idx", &images)?, json!({})),
        (
            folder.write("packed-images-idx3.gz", gzipped(&images)?)?,
            json!({}),
        ),
        (
            folder.write(
                "arrays.npz",
                npz(&[
                    ("images", &npy("|u1", "(4, 2, 3)", &PIXELS.concat())),
                    ("labels", &npy("|u1", "(4,)", &[3, 3, 10, 10])),
                ])?,
            )?,
            json!({}),
        ),
    ];
    for (path, mut table) in cases {
        table["path"] = path.to_string_lossy().into();
        table["val_fraction"] = 0.into();
        let data = open(table)?;
        // Folders come in the order of their names.
        let order = match path.is_dir() {
            true => [2, 3, 0, 1],
            false => [0, 1, 2, 3],
        };
        let name = path.display();
        assert_eq!(data.labels(), ["3", "10"], "{name}");
        let (bytes, classes) = whole(&*data.train())?;
        assert_eq!(bytes, order.map(|i| PIXELS[i]).concat(), "{name}");
        assert_eq!(classes, order.map(|i| (i / 2) as u32), "{name}");
        let shape = ImageShape {
            height: 2,
            width: 3,
            channels: 1,
        };
        assert_eq!(data.shape(), shape, "{name}");
    }
    Ok(())
}

/// Bytes as they are, other numbers by their brightest value; with channels or without;
/// arrays by the names that the table gives them.
#[test]
fn arrays_of_every_type_become_bytes() -> TestResult {
    let folder = Folder::new()?;
    let shorts: Vec<u8> = [0i16, 100, 200, 50]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let fractions: Vec<u8> = [0.0f32, 0.5, 1.0, 0.25]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let labels: Vec<u8> = [-1i64, 7].iter().flat_map(|x| x.to_le_bytes()).collect();
    let colours: Vec<u8> = (1..=12).collect();
    for (images, table, channels, want) in [
        (
            npy("|u1", "(2, 1, 2)", &[0, 16, 255, 9]),
            json!({}),
            1,
            vec![0, 16, 255, 9],
        ),
        (
            npy("|u1", "(2, 1, 2)", &[0, 16, 8, 4]),
            json!({"max_value": 16.0}),
            1,
            vec![0, 255, 128, 64],
        ),
        (
            npy("<i2", "(2, 1, 2)", &shorts),
            json!({}),
            1,
            vec![0, 100, 200, 50],
        ),
        (
            npy("<i2", "(2, 1, 2, 1)", &shorts),
            json!({"max_value": 200.0}),
            1,
            vec![0, 128, 255, 64],
        ),
        (
            npy("<f4", "(2, 1, 2)", &fractions),
            json!({}),
            1,
            vec![0, 128, 255, 64],
        ),
        (
            npy("<f4", "(2, 1, 2)", &fractions),
            json!({"max_value": 2.0}),
            1,
            vec![0, 64, 128, 32],
        ),
        (
            npy("|u1", "(2, 1, 2, 3)", &colours),
            json!({}),
            3,
            colours.clone(),
        ),
    ] {
        let arrays = npz(&[("x", &images), ("y", &npy("<i8", "(2,)", &labels))])?;
        let mut table = table;
        table["path"] = folder.write("a.npz", arrays)?.to_string_lossy().into();
        table["image_column"] = "x".into();
        table["label_column"] = "y".into();
        table["val_fraction"] = 0.into();
        let data = open(table.clone())?;
        let shape = ImageShape {
            height: 1,
            width: 2,
            channels,
        };
        assert_eq!(
            (data.shape(), data.labels()),
            (shape, &["-1".to_owned(), "7".to_owned()][..])
        );
        assert_eq!(whole(&*data.train())?, (want, vec![0, 1]), "{table}");
    }
    Ok(())
}

#[test]
fn the_first_picture_decides_the_colours_of_all() -> TestResult {
    let folder = Folder::new()?;
    folder.write("tree/a/0.png", png(&[10, 20], 2, 1))?;
    folder.write("tree/b/1.png", png(&[255, 0, 0, 9, 9, 9], 2, 1))?;
    let table = json!({"path": folder.path("tree"), "val_fraction": 0.0});
    let data = open(table.clone())?;
    // Red is as bright as 76, by its luma.
    assert_eq!(whole(&*data.train())?, (vec![10, 20, 76, 9], vec![0, 1]));
    let mut in_colour = table;
    in_colour["channels"] = "rgb".into();
    let (bytes, _) = whole(&*open(in_colour)?.train())?;
    assert_eq!(bytes, [10, 10, 10, 20, 20, 20, 255, 0, 0, 9, 9, 9]);
    Ok(())
}

#[test]
fn one_picture_is_brought_to_the_shape_of_a_model() -> TestResult {
    let folder = Folder::new()?;
    let path = folder.write("a.png", png(&[0, 51, 102, 255], 2, 2))?;
    let shape = |height, channels| ImageShape {
        height,
        width: 2,
        channels,
    };
    let grey = data::image::read(&path, shape(2, 1))?;
    assert_eq!(grey.pixels()[..], [0.0, 0.2, 0.4, 1.0]);
    let flat = data::image::read(&path, shape(1, 3))?;
    // Means of two rows, which are bytes.
    assert_eq!(flat.pixels()[..], [0.2, 0.2, 0.2, 0.6, 0.6, 0.6]);
    let said = data::image::read(&path, shape(2, 2)).expect_err("two channels");
    assert!(said.to_string().contains("use a model of 1 or 3"), "{said}");
    Ok(())
}

/// 40 pictures of 2 x 2 pixels, each of one value, and their labels.
fn forty(folder: &Folder) -> Result<Value, std::io::Error> {
    let values: Vec<u8> = (0..40).flat_map(|i| [i * 6; 4]).collect();
    let labels: Vec<u8> = (0..40).map(|i| i % 3).collect();
    folder.write("images.idx", idx(&[40, 2, 2], &values))?;
    folder.write("labels.idx", idx(&[40], &labels))?;
    Ok(json!({"path": folder.path("images.idx")}))
}

#[test]
fn the_test_is_the_end_and_validation_is_drawn_from_the_rest() -> TestResult {
    let folder = Folder::new()?;
    let mut table = forty(&folder)?;
    table["test_fraction"] = 0.5.into();
    table["val_fraction"] = 0.25.into();
    let parts = |seed| -> Result<_, Box<dyn std::error::Error>> {
        let open = Open {
            seed,
            ..Open::default()
        };
        let data = ImageData::open(&config(table.clone())?, &open)?;
        let numbers = |samples: &dyn Samples| -> data::Result<Vec<u8>> {
            let (bytes, _) = whole(samples)?;
            Ok(bytes.chunks(4).map(|pixels| pixels[0] / 6).collect())
        };
        let val = data.val().ok_or("no val")?;
        let test = data.test()?.ok_or("no test")?;
        Ok([numbers(&*data.train())?, numbers(&*val)?, numbers(&*test)?])
    };
    let [train, val, test] = parts(1)?;
    assert_eq!(test, (20..40).collect::<Vec<u8>>());
    let mut rest = [train.clone(), val.clone()].concat();
    rest.sort_unstable();
    assert_eq!(rest, (0..20).collect::<Vec<u8>>());
    assert_eq!(val.len(), 5);
    assert_eq!(parts(1)?, [train, val.clone(), test]);
    assert_ne!(parts(2)?[1], val);
    Ok(())
}

#[test]
fn mean_and_deviation_are_those_of_what_is_trained_on() -> TestResult {
    let folder = Folder::new()?;
    let mut table = forty(&folder)?;
    table["test_fraction"] = 0.5.into();
    table["val_fraction"] = 0.0.into();
    let data = open(table)?;
    let values: Vec<f64> = (0..20).map(|i| f64::from(i * 6) / 255.0).collect();
    let mean = values.iter().sum::<f64>() / 20.0;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20.0;
    let found = data.statistics();
    assert!((found.mean[0] - mean).abs() < 1e-12);
    assert!((found.std[0] - variance.sqrt()).abs() < 1e-12);
    Ok(())
}

#[test]
fn batches_are_functions_of_their_position_whoever_makes_them() -> TestResult {
    let folder = Folder::new()?;
    let mut table = forty(&folder)?;
    table["channels"] = "rgb".into();
    table["resize"] = json!([5, 4]);
    table["augment"] = json!({
        "flip": true, "crop": 2, "rotate": 10.0, "translate": 0.1, "brightness": 0.5, "contrast": 0.5, "erase": 0.5,
        "mixup": 0.4, "cutmix": 1.0,
    });
    let data = open(table)?;
    let loader = Loader::shuffled(data.train(), Pattern::Full, 7, 3);
    for (step, ahead) in Prefetch::new(loader.clone(), 14, 2)?.take(20).enumerate() {
        let (ahead, plain) = (ahead?, loader.batch(14 + 7 * step as u64)?);
        assert_eq!(ahead.input, plain.input);
        assert_eq!(ahead.targets, plain.targets);
        assert!(matches!(ahead.targets, Targets::Mixed { .. }));
        assert_eq!(ahead.mask.cu_seqlens()[7], 7 * 20);
    }
    // Nor can the other samples of a batch change one.
    let sample = |index| Sample { epoch: 2, index };
    let train = data.train();
    let alone = train.pack(&[sample(9)], &Pattern::Full)?;
    let among = train.pack(&[sample(3), sample(9)], &Pattern::Full)?;
    assert_eq!(pixels(&alone), &pixels(&among)[60..]);
    let again = train.pack(&[Sample { epoch: 3, index: 9 }], &Pattern::Full)?;
    assert_ne!(
        pixels(&alone),
        pixels(&again),
        "another epoch, another variation"
    );
    // What is measured is not varied.
    let val = data.val().ok_or("no val")?;
    let first = val.pack(&[sample(1)], &Pattern::Full)?;
    let second = val.pack(&[Sample { epoch: 0, index: 1 }], &Pattern::Full)?;
    assert_eq!(first.input, second.input);
    assert!(matches!(first.targets, Targets::Classes(_)));
    Ok(())
}

#[test]
fn drawn_digits_are_balanced_and_need_no_file() -> TestResult {
    let data = open(json!({"path": "generated", "samples": 200, "test_fraction": 0.2}))?;
    assert_eq!(data.labels().len(), 10);
    assert_eq!(data.shape().channels, 3);
    let test = data.test()?.ok_or("no test")?;
    let (_, classes) = whole(&*test)?;
    for class in 0..10 {
        assert_eq!(classes.iter().filter(|&&c| c == class).count(), 4);
    }
    assert_eq!(
        data.fingerprint(),
        open(json!({"path": "generated", "samples": 200, "test_fraction": 0.2}))?.fingerprint()
    );
    Ok(())
}

#[test]
fn names_of_classes_may_stand_for_numbers() -> TestResult {
    let folder = Folder::new()?;
    let mut table = forty(&folder)?;
    table["classes"] = json!(["cat", "dog", "cow"]);
    let data = open(table)?;
    assert_eq!(data.labels(), ["cat", "dog", "cow"]);
    Ok(())
}
