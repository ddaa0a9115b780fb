//! Sound that cannot be used: one line each, with the file and what is wrong.

use std::path::Path;

use data::Open;
use data::audio::{Asked, AudioData, AudioDataConfig, decode};
use serde_json::{Value, json};

use crate::{Folder, TestResult};

/// A WAV file of 16-bit samples.
pub(crate) fn wav(rate: u32, channels: u16, samples: &[i16]) -> Vec<u8> {
    let bytes: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    riff(1, rate, channels, 16, &bytes)
}

fn riff(format: u16, rate: u32, channels: u16, bits: u16, data: &[u8]) -> Vec<u8> {
    let block = channels * bits / 8;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + data.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0");
    file.extend(format.to_le_bytes());
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend((rate.wrapping_mul(u32::from(block))).to_le_bytes());
    file.extend(block.to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file
}

/// A tone of `n` samples.
pub(crate) fn tone(n: usize, pitch: f64) -> Vec<i16> {
    (0..n)
        .map(|i| (8000.0 * (i as f64 * pitch).sin()) as i16)
        .collect()
}

fn floats(samples: &[f32]) -> Vec<u8> {
    let bytes: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    riff(3, 8000, 1, 32, &bytes)
}

#[test]
fn damaged_files_are_refused_on_one_line() -> TestResult {
    let folder = Folder::new()?;
    let good = wav(8000, 1, &tone(4000, 0.3));
    let mut nan = vec![0.25f32; 500];
    nan[123] = f32::NAN;
    let mut infinite = vec![0.25f32; 500];
    infinite[7] = f32::INFINITY;
    let flac = std::fs::read(golden("tone.flac"))?;
    let ogg = std::fs::read(golden("tone.ogg"))?;
    let mp3 = std::fs::read(golden("tone.mp3"))?;
    let noise: Vec<u8> = (0..5000u64)
        .map(|i| data::order::draw("bytes", 1, i, 256) as u8)
        .collect();
    for (name, bytes, fault) in [
        ("empty.wav", vec![], "the file is empty"),
        (
            "header.wav",
            good[..20].to_vec(),
            "truncated WAV file: it ends inside its header",
        ),
        ("riff.wav", good[..6].to_vec(), "WAV file"),
        (
            "cut.wav",
            good[..2044].to_vec(),
            "truncated WAV file: 1000 of 4000 samples, it ends at 0.125 s",
        ),
        ("nothing.wav", wav(8000, 1, &[]), "holds no samples"),
        ("channels.wav", wav(8000, 0, &tone(100, 0.3)), "WAV file"),
        ("rate.wav", wav(0, 1, &tone(100, 0.3)), "WAV file"),
        (
            "fast.wav",
            wav(4_000_000_000, 1, &tone(100, 0.3)),
            "a sample rate of 4000000000 Hz",
        ),
        ("nan.wav", floats(&nan), "sample 123, at 0.015 s, is NaN"),
        (
            "infinite.wav",
            floats(&infinite),
            "sample 7, at 0.001 s, is inf",
        ),
        ("cut.flac", flac[..flac.len() / 2].to_vec(), "FLAC file"),
        ("cut.ogg", ogg[..100].to_vec(), "OGG file"),
        ("cut.mp3", mp3[..30].to_vec(), "MP3 file"),
        (
            "text.wav",
            b"this is no sound at all".to_vec(),
            "not a WAV, FLAC, OGG or MP3 file",
        ),
        ("noise.mp3", noise, "not a WAV, FLAC, OGG or MP3 file"),
        (
            "picture.wav",
            b"\x89PNG\r\n\x1a\n and so on".to_vec(),
            "not a WAV, FLAC, OGG or MP3 file",
        ),
    ] {
        let path = folder.write(name, &bytes)?;
        let line = decode(&path).unwrap_err().to_string();
        assert!(line.contains(fault), "{line}");
        assert!(line.starts_with(&path.display().to_string()), "{line}");
        assert!(!line.contains('\n') && line.contains("; "), "{line}");
    }
    let missing = decode(folder.path("none.wav")).unwrap_err().to_string();
    assert!(missing.contains("cannot read"), "{missing}");
    let is_folder = decode(folder.path("")).unwrap_err().to_string();
    assert!(is_folder.contains("is a folder"), "{is_folder}");
    Ok(())
}

#[test]
fn every_broken_byte_is_survived() -> TestResult {
    for name in ["tone.flac", "tone.ogg", "tone.mp3", "tone.wav"] {
        let good = std::fs::read(golden(name))?;
        let at = data::Place::file(name);
        for i in 0..300u64 {
            let mut bytes = good.clone();
            // Headers are where lengths are.
            let below = if i % 2 == 0 {
                200.min(bytes.len())
            } else {
                bytes.len()
            };
            for hit in 0..1 + i % 5 {
                let place = data::order::draw("place", i, hit, below as u64) as usize;
                bytes[place] = data::order::draw("byte", i, hit, 256) as u8;
            }
            if let Err(error) = data::audio::decode::decode_bytes(bytes, &at) {
                let line = error.to_string();
                assert!(line.starts_with(name) && !line.contains('\n'), "{line}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_content_of_a_file_counts_and_not_its_name() -> TestResult {
    let folder = Folder::new()?;
    let path = folder.write("tone.mp3", wav(8000, 1, &tone(4000, 0.3)))?;
    assert_eq!(decode(path)?.samples.len(), 4000);
    let path = folder.write("tone.txt", std::fs::read(golden("tone.flac"))?)?;
    assert_eq!(decode(path)?.rate, 22_050);
    Ok(())
}

#[test]
fn channels_are_averaged() -> TestResult {
    let folder = Folder::new()?;
    let samples: Vec<i16> = (0..500).flat_map(|_| [8192, -4096, 4096, 0]).collect();
    let path = folder.write("four.wav", wav(8000, 4, &samples))?;
    assert_eq!(decode(path)?.samples, vec![0.0625; 500]);
    Ok(())
}

fn open(path: &Path, mut table: Value) -> Result<AudioData, String> {
    table["path"] = path.to_string_lossy().into();
    table["sample_rate"] = 8000.into();
    let config: AudioDataConfig = serde_json::from_value(table).map_err(|e| e.to_string())?;
    AudioData::open(&config, Asked::Class, &Open::default()).map_err(|e| e.to_string())
}

/// Two classes of three good clips each, and `bad` beside them.
fn set(bad: &[(&str, Vec<u8>)]) -> std::io::Result<Folder> {
    let folder = Folder::new()?;
    for i in 0..6 {
        let (class, pitch) = [("low", 0.1), ("high", 0.9)][i % 2];
        folder.write(
            &format!("{class}/{i}.wav"),
            wav(8000, 1, &tone(2000, pitch)),
        )?;
    }
    for (name, bytes) in bad {
        folder.write(name, bytes)?;
    }
    Ok(folder)
}

#[test]
fn a_bad_clip_ends_the_run_or_is_left_out_up_to_a_cap() -> TestResult {
    let bad = [
        ("low/empty.wav", Vec::new()),
        ("high/short.wav", wav(8000, 1, &tone(50, 0.1))),
        ("high/text.wav", b"no sound".to_vec()),
    ];
    let folder = set(&bad)?;
    let path = folder.path("");
    let error = open(&path, json!({})).unwrap_err();
    assert!(error.contains("shorter than one frame of 200"), "{error}");
    assert!(error.contains("high/short.wav: "), "{error}");
    let capped = open(&path, json!({"on_error": "skip", "max_skipped": 2})).unwrap_err();
    assert!(
        capped.contains("low/empty.wav: ") && capped.contains("max_skipped = 2"),
        "{capped}"
    );
    let data = open(
        &path,
        json!({"on_error": "skip", "max_skipped": 3, "val_fraction": 0.0}),
    )?;
    assert_eq!(data.train().len(), 6);
    assert_eq!(data.labels(), ["high", "low"]);
    Ok(())
}

#[test]
fn manifests_that_are_wrong_are_refused_with_their_row() -> TestResult {
    let folder = set(&[])?;
    let good = "low/0.wav,low\nhigh/1.wav,high\n";
    for (name, text, fault) in [
        (
            "a.csv",
            format!("path,label\n{good}../outside.wav,low\n"),
            "a.csv:4: `../outside.wav` leaves the folder",
        ),
        (
            "b.csv",
            format!("path,label\n{good}/etc/passwd,low\n"),
            "b.csv:4: `/etc/passwd` leaves the folder",
        ),
        (
            "c.csv",
            format!("path,label\n{good}low/9.wav,low\n"),
            "low/9.wav: cannot read",
        ),
        ("d.csv", format!("file,label\n{good}"), "no column `path`"),
        ("e.csv", format!("path,class\n{good}"), "no column `label`"),
        (
            "f.csv",
            "path,label,path\na,b,c\n".into(),
            "column `path` appears twice",
        ),
        (
            "g.csv",
            format!("path,label\n{good}low/0.wav\n"),
            "g.csv:4: 1 fields",
        ),
        (
            "h.csv",
            "path,label,offset\nlow/0.wav,low,soon\n".into(),
            "offset = `soon` is not a time",
        ),
        (
            "i.csv",
            "path,label,offset\nlow/0.wav,low,9\nhigh/1.wav,high,\n".into(),
            "i.csv:2: from 9 s to its end is not in",
        ),
        (
            "j.csv",
            "path,label,duration\nlow/0.wav,low,0.9\nhigh/1.wav,high,\n".into(),
            "j.csv:2: from 0 s to 0.9 s is not in",
        ),
        (
            "k.csv",
            "path,label,duration\nlow/0.wav,low,0\n".into(),
            "duration = 0 leaves nothing",
        ),
        (
            "l.csv",
            "path,label,split\nlow/0.wav,low,dev\n".into(),
            "split = `dev` is none of",
        ),
        ("m.csv", "path,label\n".into(), "the manifest names no clip"),
        (
            "n.csv",
            "path,label\nlow/0.wav,low\nlow/2.wav,low\n".into(),
            "only one class, `low`",
        ),
        (
            "o.jsonl",
            "{\"path\": \"low/0.wav\", \"label\": \"low\"}\n[1]\n".into(),
            "o.jsonl:2",
        ),
        (
            "p.jsonl",
            "{\"path\": \"low/0.wav\"}\n".into(),
            "p.jsonl:1: no column `label`",
        ),
        ("q.txt", "low/0.wav".into(), "not a manifest"),
    ] {
        let path = folder.write(name, text)?;
        let line = open(&path, json!({})).unwrap_err();
        assert!(line.contains(fault), "{line}");
        assert!(!line.contains('\n') && line.contains("; "), "{line}");
    }
    let path = folder.write("r.csv", format!("path,label\n{good}low/2.wav,low\n"))?;
    let hold_out = json!({"hold_out": {"column": "speaker", "test": ["theo"]}});
    let line = open(&path, hold_out).unwrap_err();
    assert!(line.contains("r.csv:2: no column `speaker`"), "{line}");
    Ok(())
}

#[test]
fn arrays_that_are_no_frames_are_refused() -> TestResult {
    let folder = Folder::new()?;
    let npy = |shape: &str, values: &[f32]| {
        let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((text.len() as u16).to_le_bytes());
        file.extend(text.as_bytes());
        file.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        file
    };
    folder.write("a.npy", npy("(2, 3)", &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]))?;
    for (name, bytes, fault) in [
        (
            "flat.npy",
            npy("(3,)", &[0.0; 3]),
            "1 dimensions, not frames by features",
        ),
        (
            "none.npy",
            npy("(0, 3)", &[]),
            "no frames in an array of 0 by 3",
        ),
        (
            "nan.npy",
            npy("(2, 2)", &[0.0, 0.0, 0.0, f32::NAN]),
            "frame 1, feature 1, is NaN",
        ),
        (
            "wide.npy",
            npy("(1, 4)", &[0.0; 4]),
            "frames of 4 features, but the first clip has 3",
        ),
        ("no.npy", b"no array".to_vec(), "not a NumPy array"),
    ] {
        folder.write(name, bytes)?;
        let manifest = folder.write("m.csv", format!("path,label\na.npy,x\n{name},y\n"))?;
        let line = open(&manifest, json!({})).unwrap_err();
        assert!(line.contains(fault) && line.contains(name), "{line}");
    }
    Ok(())
}

fn golden(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}
