//! Graphs as numbers in one text file: how MUTAG, PROTEINS and their like are passed on.
//!
//! ```text
//! 2                        how many graphs
//! 3 1                      nodes and label of the first
//! 0 2 1 2                  a node: tag, degree, neighbours, then perhaps numbers
//! 0 1 0
//! 1 1 0
//! ...
//! ```

use std::path::Path;
use std::str::FromStr;

use crate::Result;
use crate::graph::GraphDataConfig;
use crate::graph::at::At;
use crate::graph::draft::{Draft, EdgePlace};
use crate::graph::names::{Names, Row};
use crate::graph::set::{Graph, Label};
use crate::lines::Lines;

pub(super) fn read(path: &Path, config: &GraphDataConfig, names: &mut Names) -> Result<Vec<Graph>> {
    let mut lines = Lines::open(path)?;
    let n_graphs: usize = match lines.next_filled()? {
        Some(line) => parse(line.trim(), "the number of graphs", &lines)?,
        None => return Ok(Vec::new()),
    };
    let mut graphs = Vec::new();
    for graph in 0..n_graphs {
        let what = || format!("graph {graph} of the {n_graphs} that the first line promises");
        let Some(header) = lines.next_filled()? else {
            return Err(ends(&lines, &what()));
        };
        let at = lines.place();
        let mut words = header.split_whitespace();
        let n_nodes: usize = parse(
            words.next().unwrap_or_default(),
            "the number of nodes",
            &lines,
        )?;
        let mut draft = Draft::new(at.clone());
        draft.label = words.next().map(|text| Label {
            text: text.to_string(),
            at,
        });
        for node in 0..n_nodes {
            let Some(line) = lines.next_filled()? else {
                return Err(ends(
                    &lines,
                    &format!("node {node} of the {n_nodes} of {}", what()),
                ));
            };
            read_node(&line, node as u32, &mut draft, &lines, names)?;
        }
        graphs.push(draft.finish(names, config)?);
    }
    if lines.next_filled()?.is_some() {
        return Err(At::place(&lines.place()).refuse(
            format!("a line after the {n_graphs} graphs that the first line promises"),
            "correct the first line",
        ));
    }
    Ok(graphs)
}

/// The neighbours of a node are the nodes that it reads.
fn read_node(
    line: &str,
    node: u32,
    draft: &mut Draft,
    lines: &Lines,
    names: &mut Names,
) -> Result<()> {
    let mut words = line.split_whitespace();
    let tag = words.next().unwrap_or_default();
    let degree: usize = parse(
        words.next().unwrap_or_default(),
        "the number of neighbours",
        lines,
    )?;
    for k in 0..degree {
        let Some(word) = words.next() else {
            return Err(At::place(&lines.place()).refuse(
                format!("{k} neighbours, but {degree} are promised"),
                "correct the second number of the line",
            ));
        };
        let neighbour: u32 = parse(word, "a neighbour", lines)?;
        let place = EdgePlace::Line(lines.number());
        draft.edge(names, [neighbour, node], &Row::default(), place)?;
    }
    let numbers = words.map(|word| parse(word, "a number", lines));
    let row = Row {
        categories: vec![tag.to_string()],
        numbers: numbers.collect::<Result<_>>()?,
        ids: Vec::new(),
    };
    draft.node(names, &row, None, None, &At::place(&lines.place()))
}

fn ends(lines: &Lines, what: &str) -> crate::Error {
    At::place(&lines.place()).refuse(
        format!("the file ends before {what}"),
        "fetch the file again, or correct its numbers",
    )
}

/// `word` as a number; negative ones are none where ids are read.
pub(super) fn parse<T: FromStr>(word: &str, what: &str, lines: &Lines) -> Result<T> {
    word.parse().map_err(|_| {
        At::place(&lines.place()).refuse(
            format!("`{word}` is not {what}"),
            "write a number as the format has it there",
        )
    })
}
