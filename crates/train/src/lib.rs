//! Trains, fine-tunes and exports small attention models from a TOML file.
//!
//! The library behind the binary `train`: [`config`] turns text into a run that is
//! known to make sense, [`Error`] says what can stop one and with which exit code.

pub mod bench;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod dataset;
pub mod device;
pub mod durable;
pub mod embed;
pub mod embedded;
mod error;
pub mod evaluate;
pub mod explain;
pub mod fit;
pub mod generate;
pub mod init;
pub mod lock;
pub mod metrics;
pub mod model_file;
pub mod model_folder;
pub mod predict;
pub mod progress;
pub mod run_dir;
pub mod schedule;
pub mod signals;
pub mod trainer;

pub use error::{Error, Exit, Result};

/// The code blocks of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
