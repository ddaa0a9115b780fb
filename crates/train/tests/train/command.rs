//! The binary, run as a user would.

use std::path::Path;
use std::process::Command;

use crate::tiny_run::TestResult;

/// Runs `train` in `folder`: its exit code, standard output and standard error.
pub(crate) fn train(folder: &Path, arguments: &[&str]) -> TestResult<(i32, String, String)> {
    let output = Command::new(env!("CARGO_BIN_EXE_train"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("RUST_BACKTRACE")
        .output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().ok_or("killed")?;
    Ok((code, text(&output.stdout), text(&output.stderr)))
}
