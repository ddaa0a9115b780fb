//! `train completions SHELL`

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, console};
use crate::error::Result;

/// Print a completion script for a shell
///
/// For instance `train completions bash > ~/.local/share/bash-completion/completions/train`.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "train", &mut script);
    console::print(&String::from_utf8_lossy(&script))
}
