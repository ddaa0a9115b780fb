//! A run that was interrupted ends as if it had not been, to the bit.

use std::{fs, path::Path};

use serde_json::Value;

use crate::tiny_run::{Ended, TestResult, TinyRun, assert_same, checkpoints, files, send, weights};

/// Attempts at stopping a run before it is done.
const ATTEMPTS: usize = 10;

#[test]
fn the_number_of_threads_does_not_matter() -> TestResult {
    let run = TinyRun::new(&[])?;
    for threads in ["1", "2", "4"] {
        let output = run
            .command(&run.out(threads), &[])
            .env("RAYON_NUM_THREADS", threads)
            .output()?;
        assert_eq!(Ended::of(output)?.code, Some(0));
    }
    assert_eq!(
        checkpoints(&run.out("1"))?
            .last_key_value()
            .map(|(step, _)| *step),
        Some(30)
    );
    assert_eq!(weights(&run.out("1"))?.len(), weights(&run.out("4"))?.len());
    assert_same(&run.out("2"), &run.out("1"))?;
    assert_same(&run.out("4"), &run.out("1"))
}

#[test]
fn a_run_that_a_signal_stopped_goes_on_to_the_same_bytes() -> TestResult {
    let run = TinyRun::new(&["train.steps=60"])?;
    let reference = run.out("reference");
    run.finish(&reference, &[])?;
    for (signal, code, threads) in [("INT", 130, "1"), ("TERM", 143, "4"), ("TERM", 143, "2")] {
        let out = stopped(&run, signal, code)?;
        let last = checkpoints(&out)?.pop_last().ok_or("nothing was saved")?.0;
        assert!((1..60).contains(&last), "{last}");
        let output = run
            .command(&out, &["--resume"])
            .env("RAYON_NUM_THREADS", threads)
            .output()?;
        assert_eq!(Ended::of(output)?.code, Some(0));
        assert_same(&out, &reference)?;
    }
    Ok(())
}

/// The folder of a run that `signal` stopped in the middle, with exit code `code`.
fn stopped(run: &TinyRun, signal: &str, code: i32) -> TestResult<std::path::PathBuf> {
    for attempt in 0..ATTEMPTS {
        let out = run.out(&format!("{signal}-{code}-{attempt}"));
        if out.exists() {
            fs::remove_dir_all(&out)?;
        }
        let child = run.start(&out, &[], 7)?;
        send(signal, &child)?;
        let ended = Ended::of(child.wait_with_output()?)?;
        if ended.code == Some(code) {
            ended.is_refusal(code, &[&format!("SIG{signal}"), "--resume"]);
            return Ok(out);
        }
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    Err(format!("SIG{signal} came too late {ATTEMPTS} times").into())
}

#[test]
fn a_run_goes_on_from_either_side_of_an_epoch() -> TestResult {
    let run = TinyRun::new(&["train.steps=40", "checkpoint.every=1"])?;
    let reference = run.out("reference");
    run.finish(&reference, &[])?;
    let epochs = checkpoints(&reference)?
        .into_iter()
        .map(|(step, path)| Ok((step, epoch_of(&path)?)))
        .collect::<TestResult<Vec<(u64, u64)>>>()?;
    let turn = epochs
        .windows(2)
        .find(|pair| pair[0].1 < pair[1].1)
        .ok_or("one epoch only")?;
    let (last_of_epoch, first_of_next) = (turn[0].0, turn[1].0);
    for step in [1, last_of_epoch, first_of_next, first_of_next + 1] {
        let out = run.out(&format!("from-{step}"));
        copy(&reference, &out)?;
        for (_, later) in checkpoints(&out)?.split_off(&(step + 1)) {
            fs::remove_dir_all(later)?;
        }
        run.finish(&out, &["--resume"])?;
        assert_same(&out, &reference)?;
    }
    Ok(())
}

fn epoch_of(checkpoint: &Path) -> TestResult<u64> {
    let state: Value = serde_json::from_slice(&fs::read(checkpoint.join("state.json"))?)?;
    Ok(state["epoch"].as_u64().ok_or("no epoch")?)
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) -> TestResult {
    for (path, bytes) in files(from)? {
        let path = to.join(path);
        fs::create_dir_all(path.parent().ok_or("no folder")?)?;
        fs::write(path, bytes)?;
    }
    Ok(())
}

#[test]
fn resuming_a_finished_run_changes_nothing() -> TestResult {
    let run = TinyRun::new(&[])?;
    let out = run.out("run");
    run.finish(&out, &[])?;
    let mut before = files(&out)?;
    run.finish(&out, &["--resume"])?;
    let mut after = files(&out)?;
    for files in [&mut before, &mut after] {
        files.remove(Path::new("run.lock")); // names the process
    }
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>()
    );
    for (path, bytes) in &before {
        assert!(after.get(path) == Some(bytes), "{} changed", path.display());
    }
    Ok(())
}

#[test]
fn a_resume_with_nothing_to_go_on_from_begins_the_run() -> TestResult {
    let run = TinyRun::new(&[])?;
    run.finish(&run.out("plain"), &[])?;
    let ended = run.finish(&run.out("resumed"), &["--resume"])?;
    assert!(
        ended.stderr.contains("there is no run to continue"),
        "{}",
        ended.stderr
    );
    assert_same(&run.out("resumed"), &run.out("plain"))
}
