//! How far queries and keys are turned: `rope_theta` and `rope_scaling`, which newer files
//! hold as one table, `rope_parameters`.

use models::ModelConfig;
use serde_json::{Value, json};

use crate::Error;
use crate::keys::Keys;

/// The value of `position`.
pub(super) fn read(keys: &Keys, _max_seq_len: usize) -> Result<Value, Error> {
    let tables = (keys.table("rope_scaling")?, keys.table("rope_parameters")?);
    // As in transformers, the older key wins where both are.
    let table = match tables {
        (Some(old), _) => Some(old),
        (None, new) => new,
    };
    let theta = keys.positive("rope_theta", 1e4, 1e12)?;
    let Some(table) = table else {
        return Ok(json!({ "rotary": { "theta": theta } }));
    };
    let theta = table.positive("rope_theta", theta, 1e12)?;
    let key = match table.get("rope_type") {
        Some(_) => "rope_type",
        None => "type",
    };
    match table.text(key)? {
        None | Some("default") => Ok(json!({ "rotary": { "theta": theta } })),
        Some(_) => Err(table.unsupported(key, "use a model with \"default\"")),
    }
}

/// The keys of config.json.
pub(super) fn write(model: &ModelConfig) -> Result<Vec<(&'static str, Value)>, Error> {
    let position = serde_json::to_value(model.position());
    let position = position.map_err(|error| Error::Unresolved(error.to_string()))?;
    let rotary = &position["rotary"];
    Ok(vec![
        ("rope_theta", rotary["theta"].clone()),
        ("rope_scaling", Value::Null),
    ])
}
