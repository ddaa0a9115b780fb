//! How far queries and keys are turned: `rope_theta` and `rope_scaling`, which newer files
//! hold as one table, `rope_parameters`.

use models::ModelConfig;
use serde_json::{Map, Value, json};

use crate::keys::Keys;
use crate::{Error, Family};

/// The value of `position`.
pub(super) fn read(keys: &Keys, max_seq_len: usize) -> Result<Value, Error> {
    let tables = (keys.table("rope_scaling")?, keys.table("rope_parameters")?);
    // As in transformers, the older key wins where both are.
    let table = match tables {
        (Some(old), _) => Some(old),
        (None, new) => new,
    };
    let theta = keys.positive("rope_theta", 1e4, MAX)?;
    whole(keys)?;
    let Some(table) = table else {
        return Ok(json!({ "rotary": { "theta": theta } }));
    };
    let theta = table.positive("rope_theta", theta, MAX)?;
    whole(&table)?;
    Ok(match scaling(&table, max_seq_len)? {
        None => json!({ "rotary": { "theta": theta } }),
        Some(scaling) => json!({ "rotary": { "theta": theta, "scaling": scaling } }),
    })
}

/// Refuses to turn a part of the channels of each head.
fn whole(keys: &Keys) -> Result<(), Error> {
    match keys.number(PARTIAL)? {
        None | Some(1.0) => Ok(()),
        Some(_) => Err(keys.unsupported(PARTIAL, "use a model that turns all channels of a head")),
    }
}

const PARTIAL: &str = "partial_rotary_factor";

/// Largest constant that is taken for a meant one.
const MAX: f64 = 1e12;

/// The value of `position.rotary.scaling`, if there is any.
fn scaling(table: &Keys, max_seq_len: usize) -> Result<Option<Value>, Error> {
    let key = match table.get("rope_type") {
        Some(_) => "rope_type",
        None => "type",
    };
    let needed = |key: &'static str| match table.get(key) {
        Some(_) => table.positive(key, 1.0, MAX),
        None => Err(table.not(key, "a number, which this kind of scaling needs")),
    };
    let original = || match table.get(ORIGINAL) {
        Some(_) => table.size(ORIGINAL, 1..=super::MAX_ROWS),
        None => Ok(max_seq_len),
    };
    Ok(match table.text(key)? {
        None | Some("default") => None,
        Some("linear") => Some(json!({ "kind": "linear", "factor": needed("factor")? })),
        Some("llama3") => Some(json!({
            "kind": "llama3",
            "factor": needed("factor")?,
            "low_freq_factor": needed("low_freq_factor")?,
            "high_freq_factor": needed("high_freq_factor")?,
            "original_max_seq_len": original()?,
        })),
        Some("yarn") => {
            for key in ["mscale", "mscale_all_dim"] {
                table.absent(key, "write what it comes to as attention_factor")?;
            }
            table.only("truncate", true, "use a model whose ramp has whole ends")?;
            let mut yarn = json!({
                "kind": "yarn",
                "factor": needed("factor")?,
                "original_max_seq_len": original()?,
                "beta_fast": table.positive("beta_fast", 32.0, MAX)?,
                "beta_slow": table.positive("beta_slow", 1.0, MAX)?,
            });
            if table.get("attention_factor").is_some() {
                yarn["attention_factor"] = needed("attention_factor")?.into();
            }
            Some(yarn)
        }
        Some(_) => {
            let remedy = "use a model with \"default\", \"linear\", \"yarn\" or \"llama3\"";
            return Err(table.unsupported(key, remedy));
        }
    })
}

/// Longest sequence that the model was trained on.
const ORIGINAL: &str = "original_max_position_embeddings";

/// The keys of config.json.
pub(super) fn write(model: &ModelConfig) -> Result<Vec<(&'static str, Value)>, Error> {
    let position = serde_json::to_value(model.position());
    let position = position.map_err(|error| Error::Unresolved(error.to_string()))?;
    let rotary = &position["rotary"];
    let scaling = match rotary["scaling"].as_object() {
        None => Value::Null,
        Some(scaling) if scaling.get("kind") == Some(&"ntk".into()) => {
            return Err(Error::NotExpressible {
                family: Family::Llama,
                key: "position",
                value: "scaling of the kind \"ntk\"".into(),
                remedy: "use \"linear\", \"yarn\" or \"llama3\", or another theta".into(),
            });
        }
        Some(scaling) => {
            let theirs = |key: &str| match key {
                "kind" => "rope_type".to_owned(),
                "original_max_seq_len" => ORIGINAL.to_owned(),
                other => other.to_owned(),
            };
            let entry = |(key, value): (&String, &Value)| (theirs(key), value.clone());
            scaling.iter().map(entry).collect::<Map<_, _>>().into()
        }
    };
    Ok(vec![
        ("rope_theta", rotary["theta"].clone()),
        ("rope_scaling", scaling),
    ])
}
