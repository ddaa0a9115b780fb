//! Names of classes: `id2label` of a config.json.

use serde_json::{Map, Value, json};

use crate::Error;
use crate::keys::Keys;

/// Most classes, which is the limit of `[model]`.
const MAX_CLASSES: usize = 1 << 20;

/// The names, in order. `of_head` says whether the weights have a head for them, which must
/// then be one that chooses among classes.
pub(crate) fn read_labels(keys: &Keys, of_head: bool) -> Result<Vec<String>, Error> {
    let labels = match keys.table("id2label")? {
        None => {
            let n = keys
                .size_if_any("num_labels", 1..=MAX_CLASSES)?
                .unwrap_or(2);
            numbered(n)
        }
        Some(table) => in_order(keys, &table)?,
    };
    if !of_head {
        return Ok(match labels.len() {
            0 | 1 => numbered(2),
            _ => labels,
        });
    }
    if labels.len() < 2 {
        let key = match keys.get("id2label") {
            Some(_) => "id2label",
            None => "num_labels",
        };
        return Err(keys.unsupported(key, "use a model with two classes or more, not one number"));
    }
    match keys.text("problem_type")? {
        None | Some("single_label_classification") => Ok(labels),
        Some(_) => {
            let remedy = "use a model that chooses one class, \"single_label_classification\"";
            Err(keys.unsupported("problem_type", remedy))
        }
    }
}

/// `id2label` and `label2id`, of which the second names each label once.
pub(crate) fn write_labels(labels: &[String]) -> (Value, Value) {
    let (mut by_id, mut by_label) = (Map::new(), Map::new());
    for (id, label) in labels.iter().enumerate() {
        by_id.insert(id.to_string(), json!(label));
        by_label.insert(label.clone(), json!(id));
    }
    (Value::Object(by_id), Value::Object(by_label))
}

/// Names of classes that have none.
pub(crate) fn numbered(n: usize) -> Vec<String> {
    (0..n).map(|id| format!("LABEL_{id}")).collect()
}

fn in_order(keys: &Keys, table: &Keys) -> Result<Vec<String>, Error> {
    let n = table.names().count();
    let wrong = || {
        keys.not(
            "id2label",
            &format!("a name for each of 0 to {}", n.saturating_sub(1)),
        )
    };
    if n > MAX_CLASSES {
        return Err(keys.not(
            "id2label",
            &format!("a table of at most {MAX_CLASSES} names"),
        ));
    }
    let label = |id: usize| match table.get(&id.to_string()) {
        Some(Value::String(label)) => Ok(label.clone()),
        _ => Err(wrong()),
    };
    (0..n).map(label).collect()
}
