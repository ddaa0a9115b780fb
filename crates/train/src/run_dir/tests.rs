use std::fs;

use super::*;

type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

const CONFIG_TEXT: &str = "[run]\nname = \"a\"\n[train]\nlr = 0.1\nsteps = 5\n";

fn refusal(outcome: Result<RunDir>) -> (u8, String) {
    let error = outcome.expect_err("it must be refused");
    let message = error.to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    (error.exit().code(), message)
}

#[test]
fn a_new_folder_is_laid_out_and_its_configuration_kept() -> TestResult {
    let dir = tempfile::tempdir()?;
    let root = dir.path().join("runs/a");
    let run = RunDir::create(&root, CONFIG_TEXT)?;
    assert_eq!(fs::read_to_string(run.config())?, CONFIG_TEXT);
    assert!(run.checkpoints().is_dir() && run.root() == root);
    Ok(())
}

#[test]
fn a_finished_run_is_not_begun_again_unless_told_to_go_on() -> TestResult {
    let dir = tempfile::tempdir()?;
    drop(RunDir::create(dir.path(), CONFIG_TEXT)?);
    let (code, message) = refusal(RunDir::create(dir.path(), CONFIG_TEXT));
    assert_eq!(code, 2);
    assert!(message.contains("`--resume`"), "{message}");
    RunDir::resume(dir.path(), CONFIG_TEXT)?;
    Ok(())
}

#[test]
fn other_files_do_not_make_a_run() -> TestResult {
    let dir = tempfile::tempdir()?;
    fs::write(dir.path().join("notes.txt"), "")?;
    RunDir::create(dir.path(), CONFIG_TEXT)?;
    Ok(())
}

#[test]
fn resuming_nothing_begins() -> TestResult {
    let dir = tempfile::tempdir()?;
    let run = RunDir::resume(&dir.path().join("a"), CONFIG_TEXT)?;
    assert_eq!(fs::read_to_string(run.config())?, CONFIG_TEXT);
    Ok(())
}

#[test]
fn a_second_process_is_refused_also_when_it_resumes() -> TestResult {
    let dir = tempfile::tempdir()?;
    let _run = RunDir::create(dir.path(), CONFIG_TEXT)?;
    assert_eq!(refusal(RunDir::create(dir.path(), CONFIG_TEXT)).0, 75);
    assert_eq!(refusal(RunDir::resume(dir.path(), CONFIG_TEXT)).0, 75);
    Ok(())
}

#[test]
fn an_output_that_cannot_be_a_folder_is_refused() -> TestResult {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("file");
    fs::write(&file, "")?;
    let (code, message) = refusal(RunDir::create(&file, CONFIG_TEXT));
    assert_eq!(code, 73);
    assert!(message.contains("is a file, not a folder"), "{message}");
    assert_eq!(
        refusal(RunDir::create(&file.join("below"), CONFIG_TEXT)).0,
        73
    );
    assert_eq!(
        refusal(RunDir::create(Path::new("/proc/a"), CONFIG_TEXT)).0,
        73
    );
    let long = dir.path().join("x".repeat(5000));
    assert_eq!(refusal(RunDir::create(&long, CONFIG_TEXT)).0, 73);
    Ok(())
}

#[test]
fn another_configuration_is_refused_with_every_key() -> TestResult {
    let dir = tempfile::tempdir()?;
    drop(RunDir::create(dir.path(), CONFIG_TEXT)?);
    let other = CONFIG_TEXT.replace("0.1", "0.2").replace("\"a\"", "\"b\"") + "seed = 3\n";
    let (code, message) = refusal(RunDir::resume(dir.path(), &other));
    assert_eq!(code, 2);
    assert!(
        message.contains("train.lr = 0.2, was 0.1, train.seed = 3, was nothing"),
        "{message}"
    );
    assert!(
        !message.contains("run.name"),
        "a name may change: {message}"
    );
    Ok(())
}

#[test]
fn a_run_may_be_made_longer() -> TestResult {
    let dir = tempfile::tempdir()?;
    drop(RunDir::create(dir.path(), CONFIG_TEXT)?);
    let longer = CONFIG_TEXT.replace("steps = 5", "steps = 9");
    let run = RunDir::resume(dir.path(), &longer)?;
    assert_eq!(fs::read_to_string(run.config())?, longer);
    Ok(())
}

#[test]
fn a_damaged_or_missing_configuration_is_bad_data() -> TestResult {
    let dir = tempfile::tempdir()?;
    let run = RunDir::create(dir.path(), CONFIG_TEXT)?;
    let (config, metrics) = (run.config(), run.metrics());
    drop(run);
    fs::write(&config, "[train\nlr")?;
    let (code, message) = refusal(RunDir::resume(dir.path(), CONFIG_TEXT));
    assert_eq!(code, 65);
    assert!(
        message.contains("config.toml: is not valid TOML"),
        "{message}"
    );
    fs::remove_file(&config)?;
    fs::write(metrics, "")?;
    assert_eq!(refusal(RunDir::resume(dir.path(), CONFIG_TEXT)).0, 65);
    Ok(())
}

#[test]
fn leftovers_of_a_killed_process_are_swept_when_the_run_goes_on() -> TestResult {
    let dir = tempfile::tempdir()?;
    let run = RunDir::create(dir.path(), CONFIG_TEXT)?;
    let litter = run.checkpoints().join(".step-00000007.tmp-4294967295-3");
    fs::create_dir(&litter)?;
    fs::write(litter.join("model.safetensors"), "half")?;
    drop(run);
    RunDir::resume(dir.path(), CONFIG_TEXT)?;
    assert!(!litter.exists());
    Ok(())
}
