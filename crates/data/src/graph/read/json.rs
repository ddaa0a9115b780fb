//! Graphs as JSON: an object a line, or one file, in lists or as NetworkX writes them.
//!
//! ```json
//! {"nodes": [[0.1, 2], [0.3, 1]], "edges": [[0, 1]], "label": "a", "split": "train"}
//! {"nodes": ["C", "O"], "edges": [[0, 1]], "edge_features": ["single"], "labels": ["x", null]}
//! {"nodes": 3, "edges": [[0, 1]], "pairs": [[0, 2], [1, 2]]}
//! {"directed": false, "nodes": [{"id": "ann", "club": 1}], "links": [{"source": "ann", "target": "bob"}]}
//! ```
//!
//! `nodes` is a count, or a list whose items are a category, a list of numbers and
//! categories, or an object with an `id`. Of such objects every key but the id, the label
//! and the part is a feature. `pairs` are nodes that a model of links is asked about; they
//! are no edges, and training passes them over. (`links` is what NetworkX calls edges.)

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::graph::GraphDataConfig;
use crate::graph::at::At;
use crate::graph::draft::{Draft, EdgePlace};
use crate::graph::names::{Names, Row};
use crate::graph::set::{Graph, Label, Part};
use crate::lines::{Lines, MAX_LINE};
use crate::{Error, Place, Result};

/// Most nodes that a mere count may ask for.
const MAX_COUNT: u64 = 1 << 24;

/// One graph a line; blank lines are passed over.
pub(super) fn read_lines(
    path: &Path,
    config: &GraphDataConfig,
    names: &mut Names,
) -> Result<Vec<Graph>> {
    let mut lines = Lines::open(path)?;
    let (mut graphs, mut skips) = (Vec::new(), config.skips());
    while let Some(line) = lines.next_filled()? {
        let at = lines.place();
        let object = serde_json::from_str(&line).map_err(|error| Error::Json {
            at: lines.column(error.column()),
            reason: crate::text::without_place(&error),
            remedy: "every line must be one graph such as {\"nodes\": [[0.5], [1]], \"edges\": [[0, 1]]}",
        });
        let read = object.and_then(|object| graph(&object, &at, config, names));
        graphs.extend(skips.keep(read)?);
    }
    Ok(graphs)
}

/// One object, or a list of objects.
pub(super) fn read_file(
    path: &Path,
    config: &GraphDataConfig,
    names: &mut Names,
) -> Result<Vec<Graph>> {
    let failed = |cause| Error::read(path, cause);
    if fs::metadata(path).map_err(failed)?.len() > MAX_LINE as u64 {
        return Err(Error::RecordTooLong {
            at: Place::file(path),
            limit: MAX_LINE,
        });
    }
    let bytes = fs::read(path).map_err(failed)?;
    graphs_of(&bytes, path, config, names)
}

/// The graphs of a JSON text that `path` names.
fn graphs_of(
    bytes: &[u8],
    path: &Path,
    config: &GraphDataConfig,
    names: &mut Names,
) -> Result<Vec<Graph>> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| Error::Json {
        at: Place::column(
            path,
            error.line().max(1) as u64,
            error.column().max(1) as u64,
        ),
        reason: crate::text::without_place(&error),
        remedy: "the file must be one graph such as {\"nodes\": [[0.5], [1]], \"edges\": [[0, 1]]}, or a list of such",
    })?;
    let at = Place::file(path);
    let not_an_object = |value: &Value| {
        At::place(&at).refuse(
            format!("{} is not a graph", kind_of(value)),
            "write an object with `nodes` and `edges`, or a list of such",
        )
    };
    match &value {
        Value::Object(object) => Ok(vec![graph(object, &at, config, names)?]),
        Value::Array(list) => list
            .iter()
            .map(|item| {
                let object = item.as_object().ok_or_else(|| not_an_object(item))?;
                graph(object, &at, config, names)
            })
            .collect(),
        other => Err(not_an_object(other)),
    }
}

fn graph(
    object: &Map<String, Value>,
    at: &Place,
    config: &GraphDataConfig,
    names: &mut Names,
) -> Result<Graph> {
    let here = At::place(at);
    let mut draft = Draft::new(at.clone());
    draft.directed = object.get("directed").and_then(Value::as_bool);
    draft.part = object
        .get(config.split_column())
        .map(|value| part(value, &here))
        .transpose()?
        .flatten();
    if let Some(text) = object.get(config.label_column()).and_then(scalar) {
        let at = at.clone();
        draft.label = Some(Label { text, at });
    }
    let ids = nodes(object, &here, config, names, &mut draft)?;
    let (key, edges) = match (object.get("edges"), object.get("links")) {
        (Some(edges), _) => ("edges", edges),
        (None, Some(links)) => ("links", links),
        (None, None) => return Err(missing(object, "edges", at)),
    };
    let edges = list(edges, key, &here)?;
    let features = match object.get("edge_features") {
        Some(value) => Some(list(value, "edge_features", &here)?),
        None => None,
    };
    if let Some(features) = features.filter(|features| features.len() != edges.len()) {
        return Err(here.refuse(
            format!("{} edge_features for {} edges", features.len(), edges.len()),
            "give every edge one",
        ));
    }
    for (i, value) in edges.iter().enumerate() {
        let at = At::inside(at, format!("{key}[{i}]"));
        let (ends, mut row) = edge(value, &ids, draft.n_nodes(), &at)?;
        if let Some(features) = features {
            fill(&mut row, &features[i], &at)?;
        }
        draft.edge(names, ends, &row, EdgePlace::Index(i))?;
    }
    if let Some(pairs) = optional_list(object, "pairs", &here)? {
        for (i, value) in pairs.iter().enumerate() {
            let at = At::inside(&here.place, format!("pairs[{i}]"));
            let ends = match value.as_array().map(Vec::as_slice) {
                Some([source, target]) => [source, target],
                _ => {
                    return Err(at.refuse(
                        format!("{} is not a pair of nodes", kind_of(value)),
                        "write [source, target]",
                    ));
                }
            };
            let n_nodes = draft.n_nodes();
            let mut pair = [0; 2];
            for (number, end) in pair.iter_mut().zip(ends) {
                let found = number_of(end, &ids).filter(|&node| (node as usize) < n_nodes);
                *number = found.ok_or_else(|| {
                    at.refuse(
                        format!("a pair with node {end}, which is not there"),
                        match ids {
                            Some(_) => "write ids of nodes",
                            None => "write numbers of nodes, from 0",
                        },
                    )
                })?;
            }
            draft.pairs.push(pair);
        }
    }
    draft.finish(names, config)
}

/// The numbers of nodes that have a name of their own.
type Ids = Option<HashMap<String, u32>>;

fn nodes(
    object: &Map<String, Value>,
    here: &At,
    config: &GraphDataConfig,
    names: &mut Names,
    draft: &mut Draft,
) -> Result<Ids> {
    let at = &here.place;
    let value = object
        .get("nodes")
        .ok_or_else(|| missing(object, "nodes", at))?;
    let labels = optional_list(object, "labels", here)?;
    let splits = optional_list(object, "splits", here)?;
    let count = match value {
        Value::Number(_) => match value.as_u64() {
            Some(count) if count <= MAX_COUNT => count as usize,
            _ => {
                return Err(here.refuse(
                    format!("nodes = {value} is not between 0 and {MAX_COUNT}"),
                    "write how many nodes there are",
                ));
            }
        },
        _ => list(value, "nodes", here)?.len(),
    };
    for (key, list) in [("labels", labels), ("splits", splits)] {
        if let Some(list) = list.filter(|list| list.len() != count) {
            return Err(here.refuse(
                format!("{} {key} for {count} nodes", list.len()),
                "give every node one; null for none",
            ));
        }
    }
    let mut ids: Ids = None;
    for node in 0..count {
        let at = At::inside(at, format!("nodes[{node}]"));
        let mut row = Row::default();
        let mut label = labels.and_then(|labels| scalar(&labels[node]));
        let mut node_part = match splits {
            Some(splits) => part(&splits[node], &at)?,
            None => None,
        };
        match value.as_array().map(|list| &list[node]) {
            None => row.numbers.push(1.0),
            Some(Value::Object(object)) => {
                for (key, value) in by_key(object) {
                    match key {
                        "id" => {
                            let id = scalar(value).ok_or_else(|| {
                                at.refuse("its `id` is no name", "write a string or a number")
                            })?;
                            let ids = ids.get_or_insert_default();
                            if ids.insert(id.clone(), node as u32).is_some() {
                                return Err(at.refuse(
                                    format!("two nodes have the id `{id}`"),
                                    "give every node an id of its own",
                                ));
                            }
                        }
                        key if key == config.label_column() => label = scalar(value),
                        key if key == config.split_column() => node_part = part(value, &at)?,
                        _ => fill(&mut row, value, &at)?,
                    }
                }
            }
            Some(value) => fill(&mut row, value, &at)?,
        }
        draft.node(names, &row, label.as_deref(), node_part, &at)?;
    }
    if let Some(ids) = &ids
        && ids.len() != count
    {
        return Err(here.refuse(
            format!("{} of {count} nodes have an id", ids.len()),
            "give every node an id, or none",
        ));
    }
    Ok(ids)
}

/// The ends of an edge: a pair, or an object with `source` and `target`.
fn edge(value: &Value, ids: &Ids, n_nodes: usize, at: &At) -> Result<([u32; 2], Row)> {
    let mut row = Row::default();
    let ends = match value {
        Value::Array(pair) if pair.len() == 2 => [&pair[0], &pair[1]],
        Value::Object(object) => {
            let end = |key| {
                object
                    .get(key)
                    .ok_or_else(|| missing(object, key, &at.place))
            };
            let ends = [end("source")?, end("target")?];
            for (key, value) in by_key(object) {
                // `key` is how NetworkX tells parallel edges apart.
                if !matches!(key, "source" | "target" | "key") {
                    fill(&mut row, value, at)?;
                }
            }
            ends
        }
        _ => {
            return Err(at.refuse(
                format!("{} is not an edge", kind_of(value)),
                "write [source, target]",
            ));
        }
    };
    let mut numbers = [0; 2];
    for (number, end) in numbers.iter_mut().zip(ends) {
        *number = number_of(end, ids).ok_or_else(|| match ids {
            Some(_) => at.refuse(
                format!("an edge to node {end}, which is not there"),
                "add the node or remove the edge",
            ),
            None => at.refuse(
                format!("an edge to node {end}, but there are {n_nodes} nodes, numbered from 0"),
                "write whole numbers from 0, or give nodes an id",
            ),
        })?;
    }
    Ok((numbers, row))
}

/// The number of the node that `end` names, by its id if nodes have one.
fn number_of(end: &Value, ids: &Ids) -> Option<u32> {
    match ids {
        Some(ids) => scalar(end).and_then(|id| ids.get(&id).copied()),
        None => end.as_u64().and_then(|id| u32::try_from(id).ok()),
    }
}

/// Adds the features that `value` holds: a number, a name, or a list of such.
fn fill(row: &mut Row, value: &Value, at: &At) -> Result<()> {
    match value {
        // A number too large for a double is read as infinite, and refused with the row.
        Value::Number(number) => row.numbers.push(number.as_f64().unwrap_or(f64::NAN) as f32),
        Value::String(name) => row.categories.push(name.clone()),
        Value::Bool(value) => row.numbers.push(f32::from(*value)),
        Value::Array(items) => {
            for item in items {
                if matches!(item, Value::Array(_) | Value::Object(_)) {
                    return Err(not_a_feature(item, at));
                }
                fill(row, item, at)?;
            }
        }
        Value::Null | Value::Object(_) => return Err(not_a_feature(value, at)),
    }
    Ok(())
}

fn not_a_feature(value: &Value, at: &At) -> Error {
    at.refuse(
        format!("{} is not a feature", kind_of(value)),
        "write numbers, names, or a list of such",
    )
}

fn part(value: &Value, at: &At) -> Result<Option<Part>> {
    match value {
        Value::Null => Ok(None),
        Value::String(name) => match Part::of(name) {
            Some(part) => Ok(Some(part)),
            None => Err(unknown_part(name, at)),
        },
        other => Err(unknown_part(&other.to_string(), at)),
    }
}

pub(super) fn unknown_part(name: &str, at: &At) -> Error {
    at.refuse(
        format!("`{name}` is no part of the data"),
        "use train, val, test or rest",
    )
}

fn list<'a>(value: &'a Value, key: &str, at: &At) -> Result<&'a Vec<Value>> {
    value.as_array().ok_or_else(|| {
        at.refuse(
            format!("`{key}` is {}, not a list", kind_of(value)),
            "write a list, [...]",
        )
    })
}

fn optional_list<'a>(
    object: &'a Map<String, Value>,
    key: &str,
    at: &At,
) -> Result<Option<&'a Vec<Value>>> {
    object
        .get(key)
        .map(|value| list(value, key, at))
        .transpose()
}

/// The entries of `object` by their keys: two objects may list the same features in
/// another order.
fn by_key(object: &Map<String, Value>) -> Vec<(&str, &Value)> {
    let mut entries: Vec<_> = object
        .iter()
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    entries.sort_by_key(|&(key, _)| key);
    entries
}

/// A name or number as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn missing(object: &Map<String, Value>, column: &str, at: &Place) -> Error {
    Error::MissingColumn {
        at: at.clone(),
        column: column.into(),
        columns: object.keys().cloned().collect(),
    }
}
