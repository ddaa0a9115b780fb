//! Trains, fine-tunes and exports small attention models from a TOML file.
//!
//! The library behind the binary `train`: [`config`] turns text into a run that is
//! known to make sense, [`Error`] says what can stop one and with which exit code.

pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod durable;
pub mod embedded;
mod error;
pub mod explain;
pub mod lock;
pub mod metrics;
pub mod model_file;
pub mod progress;
pub mod run_dir;
pub mod schedule;
pub mod signals;

pub use error::{Error, Exit, Result};
