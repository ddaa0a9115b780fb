//! The configuration of a run: TOML text in, types that are valid by construction out.
//!
//! A [`Document`] is the text of a file with the `--set` overrides merged in; it
//! knows where each key was written, so that whatever a table refuses is answered
//! with one line, `FILE:LINE:COL: what; remedy`.

mod check;
mod checkpoint;
mod data_table;
mod depth;
mod document;
mod error;
mod eval;
mod init;
mod locate;
mod mentioned;
mod metric;
mod names;
mod optimizer;
mod overrides;
mod read;
mod run;
mod run_config;
mod schema;
mod train;
mod wording;

pub use checkpoint::CheckpointTable;
pub use data_table::DataTable;
pub use document::Document;
pub(crate) use error::one_line;
pub use error::{ConfigError, Place};
pub use eval::EvalTable;
pub use init::{Head, InitTable, LoraTable, is_head};
pub use metric::Metric;
pub use names::Names;
pub use optimizer::Optimizer;
pub use run::{Device, Precision, RunTable};
pub use run_config::RunConfig;
pub use schema::schema;
pub use train::{Length, Schedule, Shape, TrainTable};
