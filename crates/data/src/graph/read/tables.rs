//! One graph as two tables: a row a node, a row an edge.
//!
//! Of the nodes, `node` names them, `label` and `split` say what they are for, and `words`
//! or `ids` is a set of small numbers, as of a bag of words; every other column is a
//! feature: a number where all rows have numbers, else a category.

use std::collections::HashMap;
use std::path::Path;

use super::json::unknown_part;
use super::numbered::parse;
use crate::graph::GraphDataConfig;
use crate::graph::at::At;
use crate::graph::draft::{Draft, EdgePlace};
use crate::graph::names::{Names, Row};
use crate::graph::set::{Graph, Part};
use crate::lines::Lines;
use crate::{Error, Place, Result};

pub(super) fn read(path: &Path, config: &GraphDataConfig, names: &mut Names) -> Result<Graph> {
    let Some(edges) = config.edges() else {
        return Err(Error::Graph {
            at: Place::file(path),
            reason: "a table of nodes needs its table of edges".into(),
            remedy: "name it: data.edges = \"edges.tsv\"",
        });
    };
    let mut draft = Draft::new(Place::file(path));
    let ids = read_nodes(path, config, names, &mut draft)?;
    // An error in an edge is one in the other file.
    draft.moved_to(Place::file(edges));
    read_edges(edges, &ids, names, &mut draft)?;
    draft.finish(names, config)
}

/// Rows of separated fields, each with its line.
struct Rows {
    names: Vec<String>,
    rows: Vec<(Place, Vec<String>)>,
}

impl Rows {
    fn read(path: &Path, header: bool) -> Result<Self> {
        let mut lines = Lines::open(path)?;
        let mut found = Self {
            names: Vec::new(),
            rows: Vec::new(),
        };
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        let comma = extension == "csv";
        while let Some(line) = lines.next_filled()? {
            let fields: Vec<String> = match comma {
                true => line.split(',').map(|f| f.trim().to_string()).collect(),
                false => line.split('\t').map(str::to_string).collect(),
            };
            if found.names.is_empty() {
                let is_header = header || fields.iter().any(|f| f.eq_ignore_ascii_case("source"));
                if is_header {
                    found.names = fields;
                    continue;
                }
                found.names = (0..fields.len()).map(|i| i.to_string()).collect();
            }
            if fields.len() != found.names.len() {
                return Err(Error::Ragged {
                    at: lines.place(),
                    found: fields.len(),
                    expected: found.names.len(),
                });
            }
            found.rows.push((lines.place(), fields));
        }
        Ok(found)
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n.eq_ignore_ascii_case(name))
    }

    /// The columns that are features, and whether each is a number everywhere.
    fn features(&self, taken: &[Option<usize>]) -> Vec<(usize, bool)> {
        let free = (0..self.names.len()).filter(|i| !taken.contains(&Some(*i)));
        let is_number = |i: usize| {
            let mut rows = self.rows.iter();
            rows.all(|(_, fields)| fields[i].trim().parse::<f32>().is_ok())
        };
        free.map(|i| (i, is_number(i))).collect()
    }
}

fn fill(row: &mut Row, fields: &[String], features: &[(usize, bool)]) {
    for &(i, is_number) in features {
        match (is_number, fields[i].trim().parse()) {
            (true, Ok(number)) => row.numbers.push(number),
            _ => row.categories.push(fields[i].clone()),
        }
    }
}

/// The number of each node, by its name.
fn read_nodes(
    path: &Path,
    config: &GraphDataConfig,
    names: &mut Names,
    draft: &mut Draft,
) -> Result<HashMap<String, u32>> {
    let table = Rows::read(path, true)?;
    let name = table.column("node").or_else(|| table.column("id"));
    let Some(name) = name else {
        return Err(Error::MissingColumn {
            at: Place::line(path, 1),
            column: "node".into(),
            columns: table.names,
        });
    };
    let label = table.column(config.label_column());
    if label.is_none() && config.names_a_label() {
        return Err(Error::MissingColumn {
            at: Place::line(path, 1),
            column: config.label_column().into(),
            columns: table.names,
        });
    }
    let split = table.column(config.split_column());
    let set = table.column("words").or_else(|| table.column("ids"));
    let features = table.features(&[Some(name), label, split, set]);
    let mut ids = HashMap::new();
    for (place, fields) in &table.rows {
        let at = At::place(place);
        let node = draft.n_nodes() as u32;
        if ids.insert(fields[name].clone(), node).is_some() {
            return Err(at.refuse(
                format!("two nodes are called `{}`", fields[name]),
                "give every node a name of its own",
            ));
        }
        let mut row = Row::default();
        fill(&mut row, fields, &features);
        if let Some(set) = set {
            for word in fields[set].split_whitespace() {
                let id = word.parse().map_err(|_| {
                    at.refuse(
                        format!("`{word}` is not an id"),
                        "write whole numbers from 0, with spaces between",
                    )
                })?;
                row.ids.push(id);
            }
        }
        let class = label.map(|i| fields[i].as_str()).filter(|c| !c.is_empty());
        let part = match split.map(|i| fields[i].as_str()) {
            None => None,
            Some(name) => Some(Part::of(name).ok_or_else(|| unknown_part(name, &at))?),
        };
        draft.node(names, &row, class, part, &at)?;
    }
    Ok(ids)
}

fn read_edges(
    path: &Path,
    ids: &HashMap<String, u32>,
    names: &mut Names,
    draft: &mut Draft,
) -> Result<()> {
    let table = Rows::read(path, false)?;
    let source = table.column("source").unwrap_or(0);
    let target = table
        .column("target")
        .or_else(|| table.column("destination"))
        .unwrap_or(1);
    if table.names.len() < 2 {
        let at = table
            .rows
            .first()
            .map_or(Place::file(path), |r| r.0.clone());
        return match table.rows.is_empty() {
            true => Ok(()),
            false => Err(At::place(&at).refuse(
                "one column, but an edge has two ends",
                "separate them by a tab, or in a .csv file by a comma",
            )),
        };
    }
    let features = table.features(&[Some(source), Some(target)]);
    for (place, fields) in &table.rows {
        let end = |column: usize| {
            let name = fields[column].trim();
            ids.get(name).copied().ok_or_else(|| {
                At::place(place).refuse(
                    format!("an edge to node `{name}`, which is not in the table of nodes"),
                    "add the node or remove the edge",
                )
            })
        };
        let mut row = Row::default();
        fill(&mut row, fields, &features);
        let line = EdgePlace::Line(place.line.unwrap_or(1));
        draft.edge(names, [end(source)?, end(target)?], &row, line)?;
    }
    Ok(())
}

/// The numbers of one line, separated by commas or spaces.
pub(super) fn numbers<T: std::str::FromStr>(
    line: &str,
    what: &str,
    lines: &Lines,
) -> Result<Vec<T>> {
    line.split([',', ' ', '\t'])
        .filter(|word| !word.is_empty())
        .map(|word| parse(word, what, lines))
        .collect()
}
