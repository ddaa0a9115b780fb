//! `train schema`

use super::console;
use crate::{config::schema, error::Result};

/// Print the JSON Schema of configurations, for editors
#[derive(Debug, clap::Args)]
pub(super) struct SchemaArgs {}

pub(super) fn run(_: SchemaArgs) -> Result<()> {
    console::print(&schema())
}
