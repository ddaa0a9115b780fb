//! The layout of the TU Dortmund sets: one folder, a file for each thing known.
//!
//! `DS_A.txt` has an edge a line, `DS_graph_indicator.txt` the graph of each node,
//! `DS_graph_labels.txt` (or `DS_graph_attributes.txt`, numbers) what is learnt, and
//! `DS_node_labels.txt`, `DS_node_attributes.txt`, `DS_edge_labels.txt` and
//! `DS_edge_attributes.txt` are features. Nodes and graphs are counted from 1; Morris et
//! al. 2020 <https://arxiv.org/abs/2007.08663>.

use std::fs;
use std::path::{Path, PathBuf};

use super::tables::numbers;
use crate::graph::GraphDataConfig;
use crate::graph::at::At;
use crate::graph::draft::{Draft, EdgePlace};
use crate::graph::names::{Names, Row};
use crate::graph::set::{Graph, Label};
use crate::lines::Lines;
use crate::{Error, Place, Result};

const EDGES: &str = "_A.txt";
const OTHERS: [&str; 7] = [
    "_graph_indicator.txt",
    "_graph_labels.txt",
    "_graph_attributes.txt",
    "_node_labels.txt",
    "_node_attributes.txt",
    "_edge_labels.txt",
    "_edge_attributes.txt",
];

/// What the names of all files start with, the folder included.
fn stem(folder: &Path) -> Result<String> {
    let failed = |cause| Error::read(folder, cause);
    let mut stems = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if let Some(stem) = name.to_string_lossy().strip_suffix(EDGES) {
            stems.push(stem.to_string());
        }
    }
    match stems.as_slice() {
        [stem] => Ok(folder.join(stem).display().to_string()),
        found => Err(Error::Graph {
            at: Place::file(folder),
            reason: format!("{} files called `..._A.txt`", found.len()),
            remedy: "name the folder of one set in the TU layout",
        }),
    }
}

/// The files of the set in `folder`.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let stem = stem(folder)?;
    let all = std::iter::once(EDGES).chain(OTHERS);
    let paths = all.map(|suffix| PathBuf::from(format!("{stem}{suffix}")));
    Ok(paths.filter(|path| path.is_file()).collect())
}

/// The lines of one file, with a row of features each.
struct Column {
    path: PathBuf,
    lines: Vec<String>,
}

impl Column {
    fn open(stem: &str, suffix: &str) -> Result<Option<Self>> {
        let path = PathBuf::from(format!("{stem}{suffix}"));
        if !path.is_file() {
            return Ok(None);
        }
        let mut reader = Lines::open(&path)?;
        let mut lines = Vec::new();
        while let Some(line) = reader.next_filled()? {
            lines.push(line);
        }
        Ok(Some(Self { path, lines }))
    }

    fn of_length(stem: &str, suffix: &str, n: usize, what: &str) -> Result<Option<Self>> {
        let column = Self::open(stem, suffix)?;
        match &column {
            Some(column) if column.lines.len() != n => Err(Error::Graph {
                at: Place::file(&column.path),
                reason: format!("{} lines, but there are {n} {what}", column.lines.len()),
                remedy: "give every one a line",
            }),
            _ => Ok(column),
        }
    }
}

pub(super) fn read(
    folder: &Path,
    config: &GraphDataConfig,
    names: &mut Names,
) -> Result<Vec<Graph>> {
    let stem = stem(folder)?;
    let (mut drafts, owner) = drafts(&stem)?;
    let (n_graphs, n_nodes) = (drafts.len(), owner.len());
    for suffix in ["_graph_attributes.txt", "_graph_labels.txt"] {
        if let Some(column) = Column::of_length(&stem, suffix, n_graphs, "graphs")? {
            for ((draft, text), line) in drafts.iter_mut().zip(&column.lines).zip(1..) {
                draft.label = Some(Label {
                    text: text.trim().to_string(),
                    at: Place::line(&column.path, line),
                });
            }
        }
    }
    let features = Features::open(&stem, "node", n_nodes)?;
    let mut number_in_graph = Vec::with_capacity(n_nodes);
    for (node, &graph) in owner.iter().enumerate() {
        let at = At::place(&features.place(node, &drafts[graph].at()));
        let row = features.row(node, &at)?;
        number_in_graph.push(drafts[graph].n_nodes() as u32);
        drafts[graph].node(names, &row, None, None, &at)?;
    }
    edges(&stem, &owner, &number_in_graph, &mut drafts, names)?;
    drafts
        .into_iter()
        .map(|draft| draft.finish(names, config))
        .collect()
}

/// The graphs without their nodes, and the graph of each node.
fn drafts(stem: &str) -> Result<(Vec<Draft>, Vec<usize>)> {
    let path = PathBuf::from(format!("{stem}_graph_indicator.txt"));
    let mut lines = Lines::open(&path)?;
    let (mut drafts, mut owner) = (Vec::new(), Vec::new());
    while let Some(line) = lines.next_filled()? {
        let graph: usize = super::numbered::parse(line.trim(), "the number of a graph", &lines)?;
        let known = drafts.len();
        if graph == 0 || graph > known + 1 {
            return Err(At::place(&lines.place()).refuse(
                format!("graph {graph} after graph {known}"),
                "count the graphs from 1, in order",
            ));
        }
        if graph > known {
            drafts.push(Draft::new(Place::file(format!("{stem}{EDGES}"))));
        }
        owner.push(graph - 1);
    }
    Ok((drafts, owner))
}

/// Labels and attributes of nodes or edges.
struct Features {
    labels: Option<Column>,
    attributes: Option<Column>,
}

impl Features {
    fn open(stem: &str, what: &str, n: usize) -> Result<Self> {
        let column = |kind: &str| {
            Column::of_length(stem, &format!("_{what}_{kind}.txt"), n, &format!("{what}s"))
        };
        Ok(Self {
            labels: column("labels")?,
            attributes: column("attributes")?,
        })
    }

    /// Where the features of row `i` stand.
    fn place(&self, i: usize, otherwise: &Place) -> Place {
        match self.attributes.as_ref().or(self.labels.as_ref()) {
            Some(column) => Place::line(&column.path, i as u64 + 1),
            None => otherwise.clone(),
        }
    }

    fn row(&self, i: usize, at: &At) -> Result<Row> {
        let mut row = Row::default();
        if let Some(labels) = &self.labels {
            let words = labels.lines[i].split(',');
            row.categories = words.map(|word| word.trim().to_string()).collect();
        }
        if let Some(attributes) = &self.attributes {
            for word in attributes.lines[i]
                .split([',', ' '])
                .filter(|w| !w.is_empty())
            {
                row.numbers.push(word.parse().map_err(|_| {
                    at.refuse(
                        format!("`{word}` is not a number"),
                        "write numbers, with commas between",
                    )
                })?);
            }
        }
        Ok(row)
    }
}

fn edges(
    stem: &str,
    owner: &[usize],
    number_in_graph: &[u32],
    drafts: &mut [Draft],
    names: &mut Names,
) -> Result<()> {
    let path = PathBuf::from(format!("{stem}{EDGES}"));
    let mut lines = Lines::open(&path)?;
    let mut pairs = Vec::new();
    while let Some(line) = lines.next_filled()? {
        let pair: Vec<usize> = numbers(&line, "the number of a node", &lines)?;
        let at = At::place(&lines.place());
        let &[source, target] = pair.as_slice() else {
            return Err(at.refuse(
                format!("{} numbers, but an edge has two ends", pair.len()),
                "write `source, target`",
            ));
        };
        let n = owner.len();
        if let Some(node) = [source, target].into_iter().find(|&i| i == 0 || i > n) {
            return Err(at.refuse(
                format!("an edge to node {node}, but there are {n} nodes, numbered from 1"),
                "add the node or remove the edge",
            ));
        }
        let (source, target) = (source - 1, target - 1);
        if owner[source] != owner[target] {
            return Err(at.refuse(
                format!(
                    "an edge from graph {} to graph {}",
                    owner[source] + 1,
                    owner[target] + 1
                ),
                "remove it: an edge joins nodes of one graph",
            ));
        }
        pairs.push((lines.number(), source, target));
    }
    let features = Features::open(stem, "edge", pairs.len())?;
    for (e, (line, source, target)) in pairs.into_iter().enumerate() {
        let at = At::place(&features.place(e, &Place::line(&path, line)));
        let row = features.row(e, &at)?;
        let ends = [number_in_graph[source], number_in_graph[target]];
        drafts[owner[source]].edge(names, ends, &row, EdgePlace::Line(line))?;
    }
    Ok(())
}
