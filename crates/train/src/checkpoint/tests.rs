use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::*;
use crate::durable::faults::{EIO, ENOSPC, EROFS, FaultyDisk, scratch};
use crate::durable::power_cut::PowerCutDisk;
use crate::durable::{self, Disk, FileError, OsDisk};
use crate::model_file::NamedTensor;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn identity() -> Identity {
    Identity {
        config: blake3::hash(b"config"),
        data: blake3::hash(b"data"),
    }
}

fn checkpoints(dir: &Path, keep: usize) -> Checkpoints {
    Checkpoints::new(dir, keep, identity())
}

fn state(step: u64) -> State {
    State {
        step,
        position: 3 * step,
        elapsed_s: 0.1 * step as f64,
        ..State::initial()
    }
}

/// Saves a tiny model whose weights tell the step.
fn save(checkpoints: &mut Checkpoints, state: &State) -> std::result::Result<PathBuf, FileError> {
    let w = [state.step as f32; 4];
    let m = [0.5; 4];
    let metadata = BTreeMap::from([("config".to_owned(), "[model]".to_owned())]);
    checkpoints.save(&Snapshot {
        state,
        model: &[NamedTensor::slice("w", vec![2, 2], &w)],
        metadata: &metadata,
        optimizer: &[NamedTensor::slice("m.w", vec![2, 2], &m)],
        ema: Some(&[NamedTensor::slice("w", vec![2, 2], &m)]),
    })
}

fn saved(dir: &Path, steps: &[u64]) -> Result<Checkpoints> {
    let mut all = checkpoints(dir, 100);
    for &step in steps {
        save(&mut all, &state(step))?;
    }
    Ok(checkpoints(dir, 100))
}

fn names(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        names.push(entry?.file_name().into_string().map_err(|_| "not UTF-8")?);
    }
    names.sort();
    Ok(names)
}

/// Asserts that `path` is refused with one line that names something inside it.
#[track_caller]
fn assert_refused(path: &Path, how: &str) {
    let error = Checkpoint::open(path).expect_err(how);
    let message = error.to_string();
    assert!(
        message.starts_with(&*path.to_string_lossy()),
        "{how}: {message}"
    );
    assert_eq!(message.lines().count(), 1, "{how}: {message}");
}

#[test]
fn what_is_saved_comes_back() -> Result {
    let dir = tempfile::tempdir()?;
    let mut all = checkpoints(dir.path(), 2);
    let written = State {
        best: Some(Best {
            step: 7,
            metric: 0.1 + 0.2,
        }),
        evals_without_improvement: 2,
        metrics_bytes: 12345,
        ..state(7)
    };
    let path = save(&mut all, &written)?;
    assert_eq!(path.file_name(), Some("step-00000007".as_ref()));
    let found = checkpoints(dir.path(), 2).newest()?.ok_or("one is there")?;
    assert_eq!(found.state, written);
    assert_eq!(found.model.read("w")?, [7.0; 4]);
    assert_eq!(found.model.metadata()["config"], "[model]");
    assert_eq!(found.optimizer.read("m.w")?, [0.5; 4]);
    assert_eq!(found.ema.ok_or("an average is there")?.read("w")?, [0.5; 4]);
    assert_eq!(found.manifest.parent, None);
    Ok(())
}

#[test]
fn there_may_be_no_checkpoint_at_all() -> Result {
    let dir = tempfile::tempdir()?;
    fs::write(dir.path().join("step-x"), "")?;
    fs::create_dir(dir.path().join("step-7"))?; // not our spelling
    assert!(checkpoints(dir.path(), 2).newest()?.is_none());
    Ok(())
}

#[test]
fn every_changed_byte_is_noticed() -> Result {
    let dir = scratch()?;
    let path = saved(dir.path(), &[1])?.path(1);
    for name in names(&path)? {
        let file = path.join(&name);
        let whole = fs::read(&file)?;
        for at in 0..whole.len() {
            for mutate in [|b: u8| b ^ 1, |b: u8| b ^ 0x80, |_| 0, |_| 0xff] {
                let byte = mutate(whole[at]);
                if byte == whole[at] {
                    continue;
                }
                let mut damaged = whole.clone();
                damaged[at] = byte;
                fs::write(&file, damaged)?;
                assert_refused(&path, &format!("{name}: byte {at} = {byte}"));
            }
        }
        fs::write(&file, whole)?;
    }
    Checkpoint::open(&path)?;
    Ok(())
}

#[test]
fn every_other_length_is_noticed() -> Result {
    let dir = scratch()?;
    let path = saved(dir.path(), &[1])?.path(1);
    for name in names(&path)? {
        let file = path.join(&name);
        let whole = fs::read(&file)?;
        for n in 0..whole.len() {
            fs::write(&file, &whole[..n])?;
            assert_refused(&path, &format!("{name} cut to {n} bytes"));
        }
        for n in 1..=16 {
            fs::write(&file, [&whole[..], &vec![b' '; n]].concat())?;
            assert_refused(&path, &format!("{name} with {n} bytes more"));
        }
        fs::write(&file, whole)?;
    }
    Ok(())
}

#[test]
fn a_missing_extra_or_foreign_file_is_noticed() -> Result {
    let dir = tempfile::tempdir()?;
    let all = saved(dir.path(), &[1, 2])?;
    let (path, other) = (all.path(1), all.path(2));
    for name in names(&path)? {
        let file = path.join(&name);
        let whole = fs::read(&file)?;
        fs::remove_file(&file)?;
        assert_refused(&path, &format!("without {name}"));
        fs::create_dir(&file)?;
        assert_refused(&path, &format!("{name} is a folder"));
        fs::remove_dir(&file)?;
        if fs::read(other.join(&name))? != whole {
            fs::copy(other.join(&name), &file)?;
            assert_refused(&path, &format!("{name} of another step"));
        }
        fs::write(&file, whole)?;
    }
    fs::write(path.join("more"), "")?;
    assert_refused(&path, "with another file");
    assert_refused(&dir.path().join("nothing"), "not there");
    Ok(())
}

#[test]
fn a_checkpoint_is_sound_wherever_it_is_copied_but_not_as_another_step() -> Result {
    let dir = tempfile::tempdir()?;
    let mut all = saved(dir.path(), &[1])?;
    fs::rename(all.path(1), dir.path().join("mine"))?;
    assert_eq!(Checkpoint::open(&dir.path().join("mine"))?.state.step, 1);
    fs::rename(dir.path().join("mine"), all.path(9))?;
    let error = all.newest().expect_err("the name lies").to_string();
    assert!(error.contains("it holds step 1"), "{error}");
    Ok(())
}

#[test]
fn another_format_configuration_or_data_is_told_as_such() -> Result {
    let dir = tempfile::tempdir()?;
    let path = saved(dir.path(), &[1])?.path(1);
    for (identity, what) in [
        (
            Identity {
                config: blake3::hash(b"x"),
                ..identity()
            },
            "another configuration",
        ),
        (
            Identity {
                data: blake3::hash(b"x"),
                ..identity()
            },
            "another data",
        ),
    ] {
        let error = Checkpoints::new(dir.path(), 2, identity)
            .newest()
            .expect_err(what);
        assert!(error.to_string().contains(what), "{error}");
    }
    fs::write(path.join(MANIFEST), r#"{"format":2,"new":true}"#)?;
    let error = Checkpoint::open(&path).expect_err("the format is newer");
    assert!(
        matches!(error, CheckpointError::OtherFormat { found: 2, .. }),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_damaged_newest_is_passed_over_and_set_aside_when_its_step_comes_again() -> Result {
    let dir = tempfile::tempdir()?;
    let all = saved(dir.path(), &[1, 2, 3])?;
    fs::write(all.path(3).join(MODEL), "damaged")?;
    fs::remove_file(all.path(2).join(STATE))?;
    let mut again = checkpoints(dir.path(), 2);
    let found = again.newest()?.ok_or("one is sound")?;
    assert_eq!(found.state.step, 1);
    save(&mut again, &state(2))?;
    assert_eq!(again.open(2)?.manifest.parent, Some(1));
    assert!(dir.path().join("step-00000002.damaged-1").is_dir());
    assert!(
        all.path(1).is_dir() && all.path(3).is_dir(),
        "a damaged later step counts for nothing"
    );
    save(&mut again, &state(3))?;
    assert_eq!(
        checkpoints(dir.path(), 2)
            .newest()?
            .ok_or("sound")?
            .state
            .step,
        3
    );
    Ok(())
}

#[test]
fn if_none_is_sound_the_newest_is_named() -> Result {
    let dir = tempfile::tempdir()?;
    let mut all = saved(dir.path(), &[1, 2])?;
    for step in [1, 2] {
        fs::write(all.path(step).join(MODEL), "damaged")?;
    }
    let error = all.newest().expect_err("none is sound").to_string();
    assert!(error.contains("none of the 2 checkpoints"), "{error}");
    assert!(
        error.contains("step-00000002/model.safetensors: it has 7 bytes"),
        "{error}"
    );
    Ok(())
}

#[test]
fn the_newest_and_the_best_are_kept() -> Result {
    let dir = tempfile::tempdir()?;
    let mut all = checkpoints(dir.path(), 2);
    let best = |step| Some(Best { step, metric: 1.0 });
    for (step, best) in [
        (1, best(1)),
        (2, best(1)),
        (3, best(3)),
        (4, best(3)),
        (5, best(3)),
    ] {
        save(
            &mut all,
            &State {
                best,
                ..state(step)
            },
        )?;
    }
    assert_eq!(
        names(dir.path())?,
        ["step-00000003", "step-00000004", "step-00000005"]
    );
    save(
        &mut all,
        &State {
            best: best(6),
            ..state(6)
        },
    )?;
    // The state of step 5, if it must be gone on from, still has its best.
    assert_eq!(
        names(dir.path())?,
        ["step-00000003", "step-00000005", "step-00000006"]
    );
    save(
        &mut all,
        &State {
            best: best(6),
            ..state(7)
        },
    )?;
    assert_eq!(names(dir.path())?, ["step-00000006", "step-00000007"]);
    Ok(())
}

#[test]
fn a_step_is_written_once() -> Result {
    let dir = tempfile::tempdir()?;
    let mut all = checkpoints(dir.path(), 2);
    let path = save(&mut all, &state(1))?;
    let before = fs::read(path.join(MANIFEST))?;
    save(
        &mut all,
        &State {
            elapsed_s: 99.0,
            ..state(1)
        },
    )?;
    assert_eq!(fs::read(path.join(MANIFEST))?, before);
    assert_eq!(names(dir.path())?, ["step-00000001"]);
    Ok(())
}

#[test]
fn whichever_operation_fails_what_was_saved_before_is_found() -> Result {
    type MakeDisk = fn(usize, i32) -> FaultyDisk;
    for make in [FaultyDisk::once as MakeDisk, FaultyDisk::from_then_on] {
        for errno in [ENOSPC, EIO, EROFS] {
            for n in 0.. {
                let dir = scratch()?;
                let disk = Rc::new(make(n, errno));
                let on_disk = Rc::clone(&disk) as Rc<dyn Disk>;
                let mut all = Checkpoints::on_disk(dir.path(), 1, identity(), on_disk);
                let mut reported = None;
                for step in 1..=3 {
                    match save(&mut all, &state(step)) {
                        Ok(_) => reported = Some(step),
                        Err(error) => {
                            assert_eq!(error.os_code(), Some(errno));
                            break;
                        }
                    }
                }
                durable::sweep(dir.path())?;
                let found = checkpoints(dir.path(), 1).newest()?.map(|c| c.state.step);
                assert!(
                    found >= reported,
                    "operation {n}: {found:?}, reported {reported:?}"
                );
                assert!(
                    names(dir.path())?
                        .iter()
                        .all(|name| name.starts_with("step-"))
                );
                if !disk.tripped() {
                    assert_eq!(reported, Some(3));
                    assert!(n > 60, "{n} operations");
                    break;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn after_a_power_cut_the_last_one_reported_or_a_newer_one_is_found() -> Result {
    let dir = scratch()?;
    let disk = Rc::new(PowerCutDisk::new(dir.path()));
    let on_disk = Rc::clone(&disk) as Rc<dyn Disk>;
    let mut all = Checkpoints::on_disk(dir.path(), 1, identity(), on_disk);
    for step in 1..=3 {
        save(&mut all, &state(step))?;
        disk.mark(step);
    }
    let states = disk.for_each_state(|after, reported| {
        durable::sweep(after).unwrap();
        let found = checkpoints(after, 1).newest().unwrap();
        let step = found.as_ref().map(|checkpoint| checkpoint.state.step);
        assert!(step >= reported, "{step:?} found, {reported:?} reported");
        if let Some(checkpoint) = found {
            assert_eq!(
                checkpoint.model.read("w").unwrap(),
                [checkpoint.state.step as f32; 4]
            );
        }
    });
    assert!(states > 500, "{states}");
    Ok(())
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_and_not_a_save() {
    for dir in ["/proc/self", "/nonexistent"] {
        let mut all = Checkpoints::on_disk(Path::new(dir), 1, identity(), Rc::new(OsDisk));
        assert!(save(&mut all, &state(1)).is_err(), "{dir}");
    }
}
