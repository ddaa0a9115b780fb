//! Run folders that are taken, damaged, full, or not to be written to.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::tiny_run::{TestResult, TinyRun, assert_same, checkpoints, files};

#[test]
fn the_second_run_on_a_folder_is_refused() -> TestResult {
    let run = TinyRun::new(&["train.steps=1000000"])?;
    let out = run.out("run");
    let mut first = run.start(&out, &["--quiet"], 1)?;
    let holder = format!("process {}", first.id());
    let outcomes = ["--quiet", "--resume"].map(|argument| run.fit(&out, &[argument]));
    first.kill()?;
    first.wait()?;
    for outcome in outcomes {
        let ended = outcome?;
        ended.is_refusal(75, &["in use by", &holder]);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
    Ok(())
}

#[test]
fn a_folder_that_cannot_be_made_is_refused() -> TestResult {
    let run = TinyRun::new(&[])?;
    fs::write(run.out("file"), "mine")?;
    for out in [
        run.out("file"),
        run.out("file/below"),
        PathBuf::from("/proc/run"),
    ] {
        run.fit(&out, &[])?
            .is_refusal(73, &["choose another `--out`"]);
    }
    assert_eq!(fs::read(run.out("file"))?, b"mine");
    Ok(())
}

#[test]
fn a_read_only_disk_is_refused() -> TestResult {
    let run = TinyRun::new(&[])?;
    let Some(disk) = SmallDisk::mount("ro,size=64k")? else {
        return Ok(());
    };
    run.fit(disk.path(), &[])?.is_refusal(73, &["--out"]);
    run.fit(&disk.path().join("run"), &["--resume"])?
        .is_refusal(73, &["--out"]);
    Ok(())
}

#[test]
fn a_full_disk_ends_the_run_and_what_was_saved_is_gone_on_from() -> TestResult {
    let run = TinyRun::new(&[])?;
    run.finish(&run.out("reference"), &[])?;
    let used: usize = files(&run.out("reference"))?.values().map(Vec::len).sum();
    let Some(disk) = SmallDisk::mount(&format!("size={}k", used / 2 / 1024))? else {
        return Ok(());
    };
    let out = disk.path().join("run");
    run.fit(&out, &[])?.is_refusal(74, &["free some space"]);
    let saved = checkpoints(&out)?;
    assert!(!saved.is_empty() && !saved.contains_key(&30), "{saved:?}");
    disk.remount(&format!("size={}k", used * 4 / 1024))?;
    let ended = run.finish(&out, &["--resume"])?;
    assert!(!ended.stderr.contains("damaged"), "{}", ended.stderr);
    assert_same(&out, &run.out("reference"))
}

/// A file system in memory, as long as this lives.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// None, with a word about it, where this process may not mount.
    fn mount(options: &str) -> TestResult<Option<Self>> {
        let folder = TempDir::new()?;
        let tried = mount(&["-t", "tmpfs", "-o", options, "tmpfs"], folder.path());
        match tried {
            Ok(()) => Ok(Some(Self(folder))),
            Err(error) => {
                eprintln!("not tested, for want of the right to mount a disk: {error}");
                Ok(None)
            }
        }
    }

    fn remount(&self, options: &str) -> TestResult {
        mount(&["-o", &format!("remount,{options}")], self.path())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A disk that stays mounted is a few kilobytes of memory.
        let _ = Command::new("umount").arg(self.path()).output();
    }
}

fn mount(arguments: &[&str], folder: &Path) -> TestResult {
    let output = Command::new("mount").args(arguments).arg(folder).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().into()),
    }
}

#[test]
fn a_flipped_byte_sends_the_run_back_to_the_checkpoint_before() -> TestResult {
    let run = TinyRun::new(&[])?;
    run.finish(&run.out("reference"), &[])?;
    for name in [
        "model.safetensors",
        "optimizer.safetensors",
        "ema.safetensors",
        "state.json",
        "MANIFEST.json",
    ] {
        let out = run.out(name);
        run.finish(&out, &[])?;
        let (step, newest) = checkpoints(&out)?.pop_last().ok_or("nothing was saved")?;
        flip_a_byte(&newest.join(name))?;
        let ended = run.finish(&out, &["--resume"])?;
        for words in [name, "going on from", &format!("step-{:08}", step - 5)] {
            assert!(
                ended.stderr.contains(words),
                "`{words}` is not in: {}",
                ended.stderr
            );
        }
        assert_same(&out, &run.out("reference"))?;
    }
    Ok(())
}

#[test]
fn a_run_of_which_every_checkpoint_is_damaged_is_refused() -> TestResult {
    let run = TinyRun::new(&[])?;
    let out = run.out("run");
    run.finish(&out, &[])?;
    for checkpoint in checkpoints(&out)?.values() {
        flip_a_byte(&checkpoint.join("optimizer.safetensors"))?;
    }
    let before = files(&out.join("checkpoints"))?;
    run.fit(&out, &["--resume"])?
        .is_refusal(65, &["none of the", "step-00000030"]);
    assert!(
        files(&out.join("checkpoints"))? == before,
        "nothing was touched"
    );
    Ok(())
}

fn flip_a_byte(path: &Path) -> TestResult {
    let mut bytes = fs::read(path)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    Ok(fs::write(path, bytes)?)
}

#[test]
fn a_run_is_neither_overwritten_nor_gone_on_with_under_another_configuration() -> TestResult {
    let run = TinyRun::new(&[])?;
    let out = run.out("run");
    run.finish(&out, &[])?;
    let before = files(&out.join("checkpoints"))?;
    run.fit(&out, &[])?.is_refusal(2, &["--resume", "--out"]);
    let ended = run.fit(&out, &["--resume", "--set", "train.lr=0.25"])?;
    ended.is_refusal(2, &["train.lr = 0.25, was 0.003"]);
    assert!(
        files(&out.join("checkpoints"))? == before,
        "nothing was touched"
    );
    Ok(())
}

#[test]
fn a_loss_that_is_not_a_number_ends_the_run_before_it_is_learnt_from() -> TestResult {
    let run = TinyRun::new(&[
        "train.lr=100",
        "train.grad_clip=0",
        "train.optimizer=sgd",
        "checkpoint.every=1",
    ])?;
    let out = run.out("run");
    let ended = run.fit(&out, &[])?;
    ended.is_refusal(70, &["step ", "the last checkpoint is intact"]);
    let step = checkpoints(&out)?.pop_last().ok_or("nothing was saved")?.0;
    ended.is_refusal(70, &[&format!("step {step}: ")]);
    run.fit(&out, &["--resume"])?
        .is_refusal(70, &[&format!("step {step}: ")]);
    Ok(())
}
