//! The frame of the command line: version, completions, a closed pipe.

use std::{
    error::Error,
    process::{Command, Stdio},
};

fn train() -> Command {
    Command::new(env!("CARGO_BIN_EXE_train"))
}

#[test]
fn the_version_is_that_of_the_package() -> Result<(), Box<dyn Error>> {
    let output = train().arg("--version").output()?;
    assert_eq!(
        String::from_utf8(output.stdout)?,
        format!("train {}\n", env!("CARGO_PKG_VERSION"))
    );
    Ok(())
}

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() -> Result<(), Box<dyn Error>> {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = train().args(["completions", shell]).output()?;
        assert!(output.status.success());
        let script = String::from_utf8(output.stdout)?;
        for command in ["explain", "tokenizer", "completions"] {
            assert!(script.contains(command), "{shell} lacks {command}");
        }
    }
    Ok(())
}

#[test]
fn the_schema_is_printed() -> Result<(), Box<dyn Error>> {
    let output = train().arg("schema").output()?;
    assert_eq!(String::from_utf8(output.stdout)?, train::config::schema());
    Ok(())
}

#[test]
fn a_closed_pipe_ends_the_program_without_a_word() -> Result<(), Box<dyn Error>> {
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let output = train()
        .arg("schema")
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()?;
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(String::from_utf8(output.stderr)?, "");
    Ok(())
}

#[test]
fn a_wrong_argument_is_a_usage_error() -> Result<(), Box<dyn Error>> {
    let output = train().arg("--sett").output()?;
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr)?.starts_with("error: "));
    Ok(())
}
