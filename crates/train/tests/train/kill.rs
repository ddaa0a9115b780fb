//! A run that is killed at any moment goes on from what it saved.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::tiny_run::{Ended, TestResult, TinyRun, checkpoints, metrics, weights};

/// Kills that must hit a run that is alive.
const KILLS: u32 = 50;
/// Kills before a run is left to finish.
const KILLS_A_RUN: u32 = 12;
/// More runs than this are not tried.
const RUNS: u32 = 20;
const SIGKILL: i32 = 9;

#[test]
fn a_run_that_is_killed_again_and_again_ends_with_the_same_bytes() -> TestResult {
    let run = TinyRun::new(&["checkpoint.every=1", "checkpoint.keep=2", "eval.every=4"])?;
    let reference = run.out("reference");
    let begun = Instant::now();
    run.finish(&reference, &[])?;
    let mut whole = begun.elapsed();

    let (mut kills, mut during_a_save) = (0, 0);
    for chain in 0..RUNS {
        let out = run.out(&format!("chain-{chain}"));
        for _ in 0..KILLS_A_RUN {
            let ended = killed_after(&run, &out, delay(kills, whole))?;
            if ended.signal != Some(SIGKILL) {
                // It was quicker: the reference ran beside other tests.
                whole = whole.mul_f64(0.8);
                break;
            }
            kills += 1;
            during_a_save += u32::from(holds_half_a_checkpoint(&out));
        }
        let ended = run.finish(&out, &["--resume"])?;
        assert!(!ended.stderr.contains("damaged"), "{}", ended.stderr);
        assert!(!holds_half_a_checkpoint(&out), "it is swept");
        assert_eq!(metrics(&out)?, metrics(&reference)?);
        assert_same_end(&out, &reference)?;
        if kills >= KILLS {
            break;
        }
    }
    assert!(kills >= KILLS, "only {kills} kills hit a run");
    assert!(during_a_save > 0, "no kill hit a save");
    Ok(())
}

/// Moments spread evenly over the first half of a run that takes `whole`.
fn delay(n: u32, whole: Duration) -> Duration {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    whole.mul_f64(0.5 * (f64::from(n) * GOLDEN).fract())
}

fn killed_after(run: &TinyRun, out: &Path, delay: Duration) -> TestResult<Ended> {
    let mut child = run.command(out, &["--resume"]).spawn()?;
    thread::sleep(delay);
    child.kill()?;
    let ended = Ended::of(child.wait_with_output()?)?;
    assert!(
        ended.signal == Some(SIGKILL) || ended.code == Some(0),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("damaged"), "{}", ended.stderr);
    Ok(ended)
}

/// Whether a folder under a temporary name is among the checkpoints.
fn holds_half_a_checkpoint(out: &Path) -> bool {
    fs::read_dir(out.join("checkpoints")).is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with('.'))
    })
}

/// The last checkpoint and the result are equal.
fn assert_same_end(out: &Path, reference: &Path) -> TestResult {
    let last = |out: &Path| -> TestResult<_> {
        let (step, path) = checkpoints(out)?.pop_last().ok_or("nothing was saved")?;
        Ok((step, weights(&path)?))
    };
    assert!(
        last(out)? == last(reference)?,
        "the last checkpoints differ"
    );
    let model = reference.join("model");
    if model.exists() {
        assert!(
            weights(&out.join("model"))? == weights(&model)?,
            "the results differ"
        );
    }
    Ok(())
}
