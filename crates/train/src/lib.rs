//! Trains, fine-tunes and exports small attention models from a TOML file.
//!
//! The library behind the binary `train`: [`config`] turns text into a run that is
//! known to make sense, [`Error`] says what can stop one and with which exit code.

pub mod cli;
pub mod config;
mod error;

pub use error::{Error, Exit, Result};
