//! What is shown, and where.

use std::io::{self, IsTerminal, Write};

use tracing::level_filters::LevelFilter;

use crate::error::{Error, Result};

/// How much to say on standard error.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Console {
    /// Say nothing but errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,

    /// Say more; twice for everything
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl Console {
    /// Whether progress is not to be shown.
    pub(crate) fn quiet(self) -> bool {
        self.quiet
    }

    /// Sends log lines to standard error, coloured on a terminal unless `NO_COLOR` is set.
    pub(super) fn start_logging(self) {
        let level = match (self.quiet, self.verbose) {
            (true, _) => LevelFilter::ERROR,
            (false, 0) => LevelFilter::WARN,
            (false, 1) => LevelFilter::INFO,
            (false, _) => LevelFilter::DEBUG,
        };
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal() && !plain)
            .with_target(false)
            .without_time()
            .init();
    }
}

/// Writes `text` to standard output; a closed pipe is an error, not a panic.
pub(super) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::Stdout)
}

/// Writes `text` to standard error, for people; nobody need be there to read it.
pub(super) fn note(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
