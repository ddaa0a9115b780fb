//! A run that takes a fraction of a second, and what it leaves behind.

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use safetensors::SafeTensors;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) type TestResult<T = ()> = Result<T, Box<dyn Error>>;

/// Longest time that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

const CONFIG: &str = r#"
[run]
name = "tiny"
seed = 3
[data]
path = "text.txt"
seq_len = 16
[model]
kind = "text-lm"
d_model = 16
n_heads = 2
n_layers = 2
dropout = 0.1
[train]
steps = 30
batch_size = 4
accumulate = 2
lr = 3e-3
ema = 0.9
log_every = 1
[eval]
every = 10
[checkpoint]
every = 5
keep = 100
"#;

/// A configuration, its text, and room for the folders of its runs.
pub(crate) struct TinyRun {
    folder: TempDir,
    overrides: Vec<String>,
}

/// How a process ended.
pub(crate) struct Ended {
    /// Exit code; none after a signal.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    pub(crate) stderr: String,
}

impl TinyRun {
    /// The configuration at the top of this file, changed by `overrides`.
    pub(crate) fn new(overrides: &[&str]) -> TestResult<Self> {
        let folder = TempDir::new()?;
        let text: String = (0..220)
            .map(|i| format!("{} + {} = {}\n", i % 7, i % 5, i % 7 + i % 5))
            .collect();
        fs::write(folder.path().join("text.txt"), text)?;
        fs::write(folder.path().join("tiny.toml"), CONFIG)?;
        let overrides = overrides.iter().map(|&set| set.to_owned()).collect();
        Ok(Self { folder, overrides })
    }

    /// The path of the run folder called `name`.
    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `train fit` into `out`, not started yet.
    pub(crate) fn command(&self, out: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_train"));
        command.current_dir(self.folder.path());
        command
            .env_remove("RUST_BACKTRACE")
            .env("RAYON_NUM_THREADS", "2");
        command
            .args(["fit", "tiny.toml", "--out"])
            .arg(out)
            .args(arguments);
        for set in &self.overrides {
            command.args(["--set", set]);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// `train fit` into `out`, to its end.
    pub(crate) fn fit(&self, out: &Path, arguments: &[&str]) -> TestResult<Ended> {
        Ended::of(self.command(out, arguments).output()?)
    }

    /// `train fit` into `out`, which must succeed.
    pub(crate) fn finish(&self, out: &Path, arguments: &[&str]) -> TestResult<Ended> {
        let ended = self.fit(out, arguments)?;
        match ended.code {
            Some(0) => Ok(ended),
            code => Err(format!("ended with {code:?}: {}", ended.stderr).into()),
        }
    }

    /// Starts `train fit` into `out`; returns once `lines` measurements are written.
    pub(crate) fn start(&self, out: &Path, arguments: &[&str], lines: usize) -> TestResult<Child> {
        let mut child = self.command(out, arguments).spawn()?;
        let begun = Instant::now();
        while count_lines(out) < lines && child.try_wait()?.is_none() {
            if begun.elapsed() > PATIENCE {
                child.kill()?;
                return Err("nothing was measured".into());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(child)
    }
}

impl Ended {
    /// How the process of `output` ended, which must not be in a panic.
    pub(crate) fn of(output: Output) -> TestResult<Self> {
        let stderr = String::from_utf8(output.stderr)?;
        assert!(!stderr.contains("panicked"), "{stderr}");
        Ok(Self {
            code: output.status.code(),
            signal: output.status.signal(),
            stderr,
        })
    }

    /// Asserts that the process was refused with `code`, by one line that has `words`.
    #[track_caller]
    pub(crate) fn is_refusal(&self, code: i32, words: &[&str]) {
        let errors: Vec<&str> = self
            .stderr
            .lines()
            .filter(|l| l.starts_with("error: "))
            .collect();
        assert_eq!(
            (self.code, errors.len()),
            (Some(code), 1),
            "{}",
            self.stderr
        );
        assert_eq!(
            self.stderr.lines().last(),
            Some(errors[0]),
            "the error is the last line"
        );
        for word in words {
            assert!(
                errors[0].contains(word),
                "`{word}` is not in: {}",
                errors[0]
            );
        }
    }
}

/// Sends the signal called `name` to `child`.
pub(crate) fn send(name: &str, child: &Child) -> TestResult {
    let sent = Command::new("kill")
        .args(["-s", name, &child.id().to_string()])
        .output()?;
    assert!(
        sent.status.success(),
        "{}",
        String::from_utf8_lossy(&sent.stderr)
    );
    Ok(())
}

/// The checkpoints in the run folder `out`, by step.
pub(crate) fn checkpoints(out: &Path) -> TestResult<BTreeMap<u64, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(out.join("checkpoints"))? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or("not a name")?;
        if let Some(step) = name
            .strip_prefix("step-")
            .and_then(|step| step.parse().ok())
        {
            found.insert(step, path);
        }
    }
    Ok(found)
}

/// Every weight file below `folder`, by path.
pub(crate) fn weights(folder: &Path) -> TestResult<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = files(folder)?;
    files.retain(|path, _| path.extension().is_some_and(|kind| kind == "safetensors"));
    Ok(files)
}

/// Every file below `folder`, by path.
pub(crate) fn files(folder: &Path) -> TestResult<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder)?.to_path_buf(), fs::read(&path)?);
            }
        }
    }
    Ok(found)
}

/// What the run in `out` measured, but for the time it took.
pub(crate) fn metrics(out: &Path) -> TestResult<Vec<Value>> {
    let text = fs::read_to_string(out.join("metrics.jsonl"))?;
    let parse = |line: &str| -> TestResult<Value> {
        let mut record: Value = serde_json::from_str(line)?;
        let keys = record.as_object_mut().ok_or("not an object")?;
        keys.retain(|key, _| key != "elapsed_s" && key != "tokens_per_s");
        Ok(record)
    };
    text.lines().map(parse).collect()
}

/// Asserts that the run in `out` left what the one in `reference` did: what it measured,
/// the result, and every checkpoint that `reference` has, to the byte.
#[track_caller]
pub(crate) fn assert_same(out: &Path, reference: &Path) -> TestResult {
    assert_eq!(metrics(out)?, metrics(reference)?);
    let (found, expected) = (weights(out)?, weights(reference)?);
    assert!(!expected.is_empty());
    for (path, bytes) in &expected {
        assert!(found.get(path) == Some(bytes), "{} differs", path.display());
    }
    Ok(())
}

fn count_lines(out: &Path) -> usize {
    fs::read(out.join("metrics.jsonl")).map_or(0, |text| text.split(|&b| b == b'\n').count() - 1)
}

/// The bytes of every tensor that the run in `out` left, by file and name: the headers of
/// the files carry the configuration, in which runs may differ.
pub(crate) fn tensors(out: &Path) -> TestResult<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for (path, bytes) in weights(out)? {
        for (name, view) in SafeTensors::deserialize(&bytes)?.tensors() {
            found.insert(format!("{}: {name}", path.display()), view.data().to_vec());
        }
    }
    Ok(found)
}
