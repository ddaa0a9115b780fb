//! The JSON Schema of a configuration, for editors.

use super::RunConfig;

/// The schema of [`RunConfig`], as JSON with a final line break.
///
/// It is kept at `configs/schema.json`, where the first line of each configuration,
/// `#:schema …`, points editors to.
pub fn schema() -> String {
    let schema = schemars::schema_for!(RunConfig);
    let json = serde_json::to_string_pretty(&schema).expect("a schema is plain JSON");
    json + "\n"
}
