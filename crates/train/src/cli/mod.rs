//! The command line: one file a subcommand, each an `Args` and a `run`.
//!
//! Results go to standard output, everything else to standard error. An error is
//! one line, `error: …`, and an exit code of [`Exit`].

mod bench;
mod completions;
mod console;
mod embed;
mod evaluate;
mod explain;
mod export;
mod fit;
mod generate;
mod inputs;
mod panics;
mod predict;
mod schema;
mod tokenizer;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::{Error, Exit, Result};

pub(crate) use console::Console;

/// Train, fine-tune and export small attention models from a TOML file
#[derive(Debug, Parser)]
#[command(
    name = "train",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    console: Console,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Fit(fit::FitArgs),
    Evaluate(evaluate::EvaluateArgs),
    Bench(bench::BenchArgs),
    Generate(generate::GenerateArgs),
    Predict(predict::PredictArgs),
    Embed(embed::EmbedArgs),
    Export(export::ExportArgs),
    Explain(explain::ExplainArgs),
    Tokenizer(tokenizer::TokenizerArgs),
    Schema(schema::SchemaArgs),
    Completions(completions::CompletionsArgs),
}

impl Command {
    fn run(self, console: Console) -> Result<()> {
        match self {
            Self::Fit(args) => fit::run(args, console),
            Self::Evaluate(args) => evaluate::run(args, console),
            Self::Bench(args) => bench::run(args),
            Self::Generate(args) => generate::run(args),
            Self::Predict(args) => predict::run(args),
            Self::Embed(args) => embed::run(args),
            Self::Export(args) => export::run(args),
            Self::Explain(args) => explain::run(args),
            Self::Tokenizer(args) => tokenizer::run(args),
            Self::Schema(args) => schema::run(args),
            Self::Completions(args) => completions::run(args),
        }
    }
}

/// Parses the command line, runs what it asks for and says how that ended.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.console.start_logging();
    let outcome = panics::contain(|| cli.command.run(cli.console));
    let exit = match outcome {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(error)) => {
            report(&error);
            error.exit()
        }
        Err(line) => {
            eprintln!("error: {line}");
            Exit::Internal
        }
    };
    ExitCode::from(exit.code())
}

/// Prints `error` on one line. Whoever closed our output wants no more of it.
fn report(error: &Error) {
    if error.exit() != Exit::BrokenPipe {
        eprintln!("error: {}", crate::config::one_line(&error.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
