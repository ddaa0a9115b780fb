//! Each wrong configuration is answered with one line that says where and what to do,
//! exit code 2, and nothing on disk.

use std::{error::Error, fs, path::Path};

use assert_cmd::Command;
use tempfile::TempDir;

type TestResult = Result<(), Box<dyn Error>>;

/// Line 1 is `[run]`; wrong keys are put in by replacing or adding lines.
const GOOD: &str = "\
[run]
name = \"tiny\"

[data]
path = \"embedded\"
seq_len = 16

[model]
kind = \"text-lm\"
d_model = 16
n_heads = 2
n_layers = 1

[train]
steps = 10
batch_size = 2
lr = 1e-3
";

/// Runs `train explain c.toml` with `arguments` in a folder that holds `text` as `c.toml`,
/// and returns its exit code and what it says.
fn explain(text: &[u8], arguments: &[&str]) -> Result<(i32, String), Box<dyn Error>> {
    let folder = TempDir::new()?;
    fs::write(folder.path().join("c.toml"), text)?;
    let output = run(folder.path(), &[&["explain", "c.toml"], arguments].concat())?;
    assert_eq!(
        fs::read_dir(folder.path())?.count(),
        1,
        "something was written"
    );
    Ok(output)
}

fn run(folder: &Path, arguments: &[&str]) -> Result<(i32, String), Box<dyn Error>> {
    let output = Command::cargo_bin("train")?
        .args(arguments)
        .current_dir(folder)
        .env_remove("RUST_BACKTRACE")
        .output()?;
    let said = String::from_utf8(output.stderr)?;
    assert!(
        output.stdout.is_empty() || output.status.success(),
        "half a result"
    );
    Ok((output.status.code().ok_or("killed")?, said))
}

#[track_caller]
fn refused(case: &str, (code, said): (i32, String), want: &str) {
    assert_eq!(said, format!("error: {want}\n"), "{case}");
    assert_eq!(code, 2, "{case}");
}

#[test]
fn a_wrong_key_or_value_is_named_with_its_place() -> TestResult {
    let cases = [
        // (what, written instead of, what is said)
        (
            "unknown key",
            ("d_model =", "d_modle ="),
            "c.toml:10:1: unknown key `d_modle` in [model]; did you mean `d_model`?",
        ),
        (
            "another program's key",
            ("n_layers =", "num_hidden_layers ="),
            "c.toml:12:1: unknown key `num_hidden_layers` in [model]; did you mean `n_layers`?",
        ),
        (
            "unknown table",
            ("[train]", "[training]"),
            "c.toml:14:2: unknown table [training]; did you mean [train]?",
        ),
        (
            "unknown key, deeper",
            (
                "n_layers = 1",
                "n_layers = 1\nmask = { band = { left = 4, rihgt = 0 } }",
            ),
            "c.toml:13:29: unknown key `rihgt` in [model.mask.band]; did you mean `right`?",
        ),
        (
            "unknown value",
            ("\"text-lm\"", "\"text-ml\""),
            "c.toml:9:8: `model.kind` cannot be \"text-ml\"; did you mean \"text-lm\"?",
        ),
        (
            "unknown value of a word or table",
            ("n_layers = 1", "n_layers = 1\nmask = \"casual\""),
            "c.toml:13:8: `model.mask` cannot be \"casual\"; did you mean \"causal\"?",
        ),
        (
            "number in quotes",
            ("d_model = 16", "d_model = \"16\""),
            "c.toml:10:11: `model.d_model` is the text \"16\", not a whole number, 0 or more; remove the quotes",
        ),
        (
            "negative size",
            ("n_layers = 1", "n_layers = -1"),
            "c.toml:12:12: `model.n_layers` is -1, not a whole number, 0 or more; write a whole number, 0 or more",
        ),
        (
            "fraction for a whole number",
            ("steps = 10", "steps = 1.5"),
            "c.toml:15:9: `train.steps` is 1.5, not a whole number, 0 or more; write a whole number, 0 or more",
        ),
        (
            "word for a number",
            ("lr = 1e-3", "lr = \"high\""),
            "c.toml:17:6: `train.lr` is the text \"high\", not a number; write a number",
        ),
        (
            "table for a number",
            ("lr = 1e-3", "lr = { max = 1 }"),
            "c.toml:17:6: `train.lr` is a table, not a number; write a number",
        ),
        (
            "heads do not divide",
            ("n_heads = 2", "n_heads = 3"),
            "c.toml:10:1: d_model = 16 is not a multiple of n_heads = 3; change `d_model` or `n_heads`",
        ),
        (
            "zero size",
            ("d_model = 16", "d_model = 0"),
            "c.toml:10:1: d_model = 0 is out of range; use 1 to 65536",
        ),
        (
            "zero heads",
            ("n_heads = 2", "n_heads = 0"),
            "c.toml:11:1: n_heads = 0 is out of range; use 1 to 1024",
        ),
        (
            "zero batch",
            ("batch_size = 2", "batch_size = 0"),
            "c.toml:16:1: batch_size = 0 is out of range; use 1 to 65536",
        ),
        (
            "absurd size",
            ("d_model = 16", "d_model = 9223372036854775806"),
            "c.toml:10:1: d_model = 9223372036854775806 is out of range; use 1 to 65536",
        ),
        (
            "absurd length",
            ("steps = 10", "steps = 1000000001"),
            "c.toml:15:1: steps = 1000000001 is out of range; use 1 to 1000000000",
        ),
        (
            "absurd batch",
            ("batch_size = 2", "batch_size = 65536\nlog_every = 0"),
            "c.toml:17:1: log_every = 0 is out of range; use 1 to 1000000000",
        ),
        (
            "missing key",
            ("d_model = 16\n", ""),
            "c.toml:8:1: the key `d_model` is missing in [model]; add `d_model = …`",
        ),
        (
            "missing table",
            ("[data]\npath = \"embedded\"\nseq_len = 16\n", ""),
            "c.toml: the table [data] is missing; add a [data] table",
        ),
        (
            "infinite rate",
            ("lr = 1e-3", "lr = inf"),
            "c.toml:17:1: lr = inf is out of range; use more than 0, at most 100",
        ),
        (
            "folder as a name",
            ("\"tiny\"", "\"../tiny\""),
            "c.toml:2:1: name = \"../tiny\" cannot name a folder; \
             use up to 128 letters, digits, `_`, `-` and `.`, not `.` first",
        ),
        (
            "unknown device",
            ("name = \"tiny\"", "name = \"tiny\"\ndevice = \"tpu\""),
            "c.toml:3:10: device = \"tpu\" is unknown; use \"cpu\", \"cuda\", \"cuda:1\" or \"auto\"",
        ),
        (
            "metric without classes",
            ("[train]", "[eval]\nmetric = \"accuracy\"\n\n[train]"),
            "c.toml:15:1: eval.metric = \"accuracy\" is not measured of a text-lm; use \"loss\"",
        ),
        (
            "syntax",
            ("lr = 1e-3", "lr = "),
            "c.toml:17:6: string values must be quoted, expected literal string; put the text in double quotes",
        ),
    ];
    for (case, (good, bad), want) in cases {
        let text = GOOD.replacen(good, bad, 1);
        assert_ne!(text, GOOD, "{case}: nothing replaced");
        refused(case, explain(text.as_bytes(), &[])?, want);
    }
    Ok(())
}

#[test]
fn sizes_that_are_absurd_together_are_refused_before_memory_is_taken() -> TestResult {
    let huge = GOOD.replace("seq_len = 16", "seq_len = 16777216");
    refused(
        "tokens of a batch",
        explain(huge.as_bytes(), &[])?,
        "c.toml:16:1: train.batch_size = 2 times data.seq_len = 16777216 is more than 16777216 tokens; \
         make one smaller and train.accumulate larger",
    );
    let huge = GOOD
        .replace("d_model = 16", "d_model = 65536")
        .replace("n_layers = 1", "n_layers = 1024");
    refused(
        "parameters",
        explain(huge.as_bytes(), &[])?,
        "c.toml:10:1: d_model = 65536, d_ff = 262144 and n_layers = 1024 make more than 2^36 parameters; \
         use smaller sizes",
    );
    Ok(())
}

#[test]
fn an_override_is_named_by_its_text() -> TestResult {
    for (case, text, want) in [
        (
            "unknown key",
            "train.setps=3",
            "--set `train.setps=3`: unknown key `setps` in [train]; did you mean `steps`?",
        ),
        (
            "unknown table",
            "optim.lr=3",
            "--set `optim.lr=3`: unknown table [optim]; \
             known: [run], [init], [data], [model], [train], [eval] and [checkpoint]",
        ),
        (
            "wrong type",
            "model.d_model=big",
            "--set `model.d_model=big`: `model.d_model` is the text \"big\", not a whole number, 0 or more; \
             write a whole number, 0 or more",
        ),
        (
            "a value that does not fit the file's",
            "model.n_heads=3",
            "--set `model.n_heads=3`: d_model = 16 is not a multiple of n_heads = 3; change `d_model` or `n_heads`",
        ),
        (
            "no table",
            "lr=3",
            "--set `lr=3`: does not name a key inside a table; write `--set table.key=value`",
        ),
        (
            "no value",
            "train.lr",
            "--set `train.lr`: has no `=`; write `--set table.key=value`",
        ),
        (
            "half a value",
            "model.mask={band",
            "--set `model.mask={band`: the value is not valid TOML; quote it as a string",
        ),
    ] {
        refused(case, explain(GOOD.as_bytes(), &["--set", text])?, want);
    }
    Ok(())
}

#[test]
fn a_file_that_is_no_configuration_is_named() -> TestResult {
    refused(
        "empty",
        explain(b"", &[])?,
        "c.toml: the file is empty; write a configuration, for a start a copy of `configs/text.toml`",
    );
    refused(
        "not UTF-8",
        explain(b"[run]\nname = \"caf\xe9\"\n", &[])?,
        "c.toml:2:12: byte 0xe9 is not UTF-8; save the file as UTF-8",
    );

    let folder = TempDir::new()?;
    fs::write(folder.path().join("text.toml"), GOOD)?;
    refused(
        "missing",
        run(folder.path(), &["explain", "no.toml"])?,
        "no.toml: no such file; check the path",
    );
    refused(
        "mistyped",
        run(folder.path(), &["explain", "txet.toml"])?,
        "txet.toml: no such file; did you mean `text.toml`?",
    );
    refused(
        "folder",
        run(folder.path(), &["explain", "."])?,
        ".: is a folder, not a configuration; name the TOML file itself",
    );
    Ok(())
}

#[test]
fn hostile_text_costs_one_line() -> TestResult {
    let deep = 100_000;
    for (case, text) in [
        (
            "a string of 10 MB",
            format!("[run]\nname = \"{}\"", "x".repeat(10_000_000)),
        ),
        (
            "a key of 900 kB",
            format!("[run]\n{} = 1", "x".repeat(900_000)),
        ),
        ("brackets", format!("[run]\nname = {}", "[".repeat(deep))),
        (
            "inline tables",
            format!("[run]\nname = {}1", "{a=".repeat(deep)),
        ),
        ("dotted keys", format!("{}a = 1", "a.".repeat(deep))),
        ("dotted headers", format!("[{}a]", "a.".repeat(deep))),
        ("a control character", "[run]\nname = \"\u{1b}[31m\"".into()),
        (
            "a number of 100 kB",
            format!("[run]\nseed = {}", "9".repeat(deep)),
        ),
    ] {
        let (code, said) = explain(text.as_bytes(), &[])?;
        assert_eq!(code, 2, "{case}: {said}");
        assert!(
            said.starts_with("error: c.toml") && said.lines().count() == 1,
            "{case}: {said}"
        );
        assert!(
            said.len() < 2000 && !said.contains('\u{1b}'),
            "{case}: {said}"
        );
    }
    Ok(())
}

#[test]
fn a_run_that_cannot_start_leaves_nothing() -> TestResult {
    for (case, change, want) in [
        (
            "configuration",
            "model.n_heads=3",
            "--set `model.n_heads=3`: d_model = 16 is not a multiple of n_heads = 3; \
             change `d_model` or `n_heads`",
        ),
        (
            "a device that is not there",
            "run.device=cuda:7",
            "--set `run.device=cuda:7`: device = \"cuda:7\" is not there, \
             this build computes on the CPU only; use \"cpu\" or \"auto\"",
        ),
        (
            "a vocabulary too small for the data",
            "model.vocab_size=3",
            "",
        ),
    ] {
        let folder = TempDir::new()?;
        fs::write(folder.path().join("c.toml"), GOOD)?;
        let said = run(folder.path(), &["fit", "c.toml", "--set", change])?;
        match want {
            "" => {
                let (code, said) = said;
                assert_eq!(code, 2, "{case}: {said}");
                assert!(
                    said.starts_with(&format!("error: --set `{change}`: vocab_size = 3 ")),
                    "{said}"
                );
                assert_eq!(said.lines().count(), 1, "{said}");
            }
            want => refused(case, said, want),
        }
        assert_eq!(
            fs::read_dir(folder.path())?.count(),
            1,
            "{case}: something was written"
        );
    }
    Ok(())
}
