//! A graph while it is read: names become numbers, and what cannot be is refused.

use attn_core::mask::Csr;

use super::at::At;
use super::names::{Kind, Names, Row};
use super::set::{Graph, Label, Part, Values};
use super::{DuplicateEdges, GraphDataConfig};
use crate::{IGNORED, Place, Result};

/// One graph, node after node and edge after edge.
#[derive(Debug)]
pub(super) struct Draft {
    at: Place,
    nodes: Values,
    edges: Vec<[u32; 2]>,
    edge_values: Values,
    edge_places: Vec<EdgePlace>,
    classes: Vec<u32>,
    parts: Vec<Option<Part>>,
    /// Pairs of nodes that are asked about.
    pub(super) pairs: Vec<[u32; 2]>,
    pub(super) label: Option<Label>,
    pub(super) part: Option<Part>,
    /// Whether the file says that edges lead one way only.
    pub(super) directed: Option<bool>,
}

/// The line of an edge, or its index inside the record.
#[derive(Debug, Clone, Copy)]
pub(super) enum EdgePlace {
    Line(u64),
    Index(usize),
}

impl Draft {
    pub(super) fn new(at: Place) -> Self {
        Self {
            at,
            nodes: Values::default(),
            edges: Vec::new(),
            edge_values: Values::default(),
            edge_places: Vec::new(),
            classes: Vec::new(),
            parts: Vec::new(),
            pairs: Vec::new(),
            label: None,
            part: None,
            directed: None,
        }
    }

    pub(super) fn n_nodes(&self) -> usize {
        self.nodes.rows
    }

    pub(super) fn at(&self) -> Place {
        self.at.clone()
    }

    /// Says that what follows comes from another file.
    pub(super) fn moved_to(&mut self, at: Place) {
        self.at = at;
    }

    /// Adds a node; `class` names its label.
    pub(super) fn node(
        &mut self,
        names: &mut Names,
        row: &Row,
        class: Option<&str>,
        part: Option<Part>,
        at: &At,
    ) -> Result<()> {
        names.push(Kind::Node, row, &mut self.nodes, at)?;
        self.classes.push(match class {
            Some(name) => names.class(name, &at.place)?,
            None => IGNORED,
        });
        self.parts.push(part);
        Ok(())
    }

    /// Adds the edge `source -> destination`, numbers of nodes that may come later.
    pub(super) fn edge(
        &mut self,
        names: &mut Names,
        [source, destination]: [u32; 2],
        row: &Row,
        place: EdgePlace,
    ) -> Result<()> {
        let at = self.edge_at(place);
        names.push(Kind::Edge, row, &mut self.edge_values, &at)?;
        self.edges.push([source, destination]);
        self.edge_places.push(place);
        Ok(())
    }

    fn edge_at(&self, place: EdgePlace) -> At {
        match place {
            EdgePlace::Line(line) => At::place(&Place::line(&self.at.path, line)),
            EdgePlace::Index(i) => At::inside(&self.at, format!("edges[{i}]")),
        }
    }

    /// The graph, sorted and checked.
    ///
    /// # Errors
    ///
    /// No nodes, an edge to a node that is not there, or one that is listed twice.
    pub(super) fn finish(self, names: &Names, config: &GraphDataConfig) -> Result<Graph> {
        let n = self.nodes.rows;
        if n == 0 {
            return Err(At::place(&self.at).refuse(
                "the graph has no nodes",
                "give it at least one, or leave it out",
            ));
        }
        for (e, edge) in self.edges.iter().enumerate() {
            if let Some(&node) = edge.iter().find(|&&node| node as usize >= n) {
                return Err(self.edge_at(self.edge_places[e]).refuse(
                    format!("an edge to node {node}, but there are {n} nodes, numbered from 0"),
                    "add the node or remove the edge",
                ));
            }
        }
        let directed = config.directed().or(self.directed).unwrap_or(false);
        let order = self.sorted(directed, names, config.duplicates())?;
        let mut offsets = vec![0u32; n + 1];
        let mut edge_values = Values::default();
        let mut sources = Vec::with_capacity(order.len());
        for &([destination, source], e) in &order {
            offsets[destination as usize + 1] += 1;
            sources.push(source);
            edge_values.push_from(&self.edge_values, Some(e), &names.schema.edges);
        }
        for i in 0..n {
            offsets[i + 1] += offsets[i];
        }
        let has_classes = self.classes.iter().any(|&class| class != IGNORED);
        let has_parts = self.parts.iter().any(Option::is_some);
        Ok(Graph {
            at: self.at,
            nodes: self.nodes,
            edges: Csr::new(offsets, sources)?,
            edge_values,
            encoding: Vec::new(),
            node_classes: if has_classes {
                self.classes
            } else {
                Vec::new()
            },
            node_parts: match has_parts {
                true => {
                    let parts = self.parts.into_iter();
                    parts.map(|part| part.unwrap_or(Part::Rest)).collect()
                }
                false => Vec::new(),
            },
            pairs: self.pairs,
            label: self.label,
            part: self.part,
        })
    }

    /// `[destination, source]` and the edge it comes from, ascending and distinct.
    fn sorted(
        &self,
        directed: bool,
        names: &Names,
        duplicates: DuplicateEdges,
    ) -> Result<Vec<([u32; 2], usize)>> {
        // Whether the edge is the way back comes third, so that the way that is written
        // down goes first.
        let mut all: Vec<([u32; 2], bool, usize)> = Vec::with_capacity(2 * self.edges.len());
        for (e, &[source, destination]) in self.edges.iter().enumerate() {
            all.push(([destination, source], false, e));
            if !directed && source != destination {
                all.push(([source, destination], true, e));
            }
        }
        all.sort_unstable();
        let mut kept: Vec<([u32; 2], usize)> = Vec::with_capacity(all.len());
        let mut back_kept = false;
        for &(pair, back, e) in &all {
            match kept.last() {
                Some(&(before, first)) if before == pair => {
                    let columns = &names.schema.edges;
                    let there_and_back = back != back_kept;
                    let agree = self.edge_values.same(first, e, columns);
                    if duplicates == DuplicateEdges::Refuse && !(there_and_back && agree) {
                        let [destination, source] = if back { [pair[1], pair[0]] } else { pair };
                        let what = match there_and_back {
                            true => "is listed both ways with different features",
                            false => "is listed twice",
                        };
                        return Err(self.edge_at(self.edge_places[e.max(first)]).refuse(
                            format!("edge {source} -> {destination} {what}"),
                            "remove one, or set data.duplicate_edges = \"merge\" to keep the first",
                        ));
                    }
                }
                _ => {
                    kept.push((pair, e));
                    back_kept = back;
                }
            }
        }
        Ok(kept)
    }
}
