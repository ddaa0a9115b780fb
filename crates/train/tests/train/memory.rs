//! What is kept of a block for its backward pass changes no weight.

use std::fs;
use std::path::Path;

use crate::resume::copy;
use crate::tiny_run::{TestResult, TinyRun, checkpoints, metrics, tensors};

#[track_caller]
fn assert_alike(out: &Path, reference: &Path) -> TestResult {
    assert_eq!(metrics(out)?, metrics(reference)?);
    let (found, expected) = (tensors(out)?, tensors(reference)?);
    assert!(found.len() == expected.len() && expected.len() > 50);
    for (name, bytes) in &expected {
        assert!(found.get(name) == Some(bytes), "{name} differs");
    }
    Ok(())
}

#[test]
fn blocks_computed_again_learn_the_same_weights() -> TestResult {
    let run = TinyRun::new(&[])?;
    run.finish(&run.out("kept"), &[])?;
    for threads in ["1", "2", "4"] {
        let out = run.out(threads);
        let mut again = run.command(&out, &["--set", "model.memory=recompute"]);
        assert!(again.env("RAYON_NUM_THREADS", threads).status()?.success());
        assert_alike(&out, &run.out("kept"))?;
    }
    Ok(())
}

#[test]
fn a_run_may_go_on_with_blocks_computed_again() -> TestResult {
    let run = TinyRun::new(&[])?;
    run.finish(&run.out("kept"), &[])?;
    let out = run.out("both");
    copy(&run.out("kept"), &out)?;
    for (_, later) in checkpoints(&out)?.split_off(&11) {
        fs::remove_dir_all(later)?;
    }
    run.finish(&out, &["--set", "model.memory=recompute", "--resume"])?;
    assert_alike(&out, &run.out("kept"))
}
