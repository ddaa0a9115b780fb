//! Graphs packed into batches.

use std::sync::{Arc, OnceLock};

use attn_core::input::{Graphs, Rows};
use attn_core::mask::Csr;
use attn_core::{Input, Pattern, Targets};
use kernels::rng::{Domain, Key};

use super::set::{Graph, Schema};
use super::{Encodings, GraphDataConfig, Normalize, links, structure};
use crate::{Batch, Error, IGNORED, Result, Sample, Samples};

/// Graphs, what their values mean, and how they are written as numbers.
#[derive(Debug)]
pub(super) struct Set {
    graphs: Vec<Graph>,
    schema: Schema,
    normalize: Normalize,
    encodings: Encodings,
}

impl Set {
    pub(super) fn new(graphs: Vec<Graph>, schema: &Schema, config: &GraphDataConfig) -> Self {
        Self {
            graphs,
            schema: schema.clone(),
            normalize: config.normalize(),
            encodings: config.encodings(),
        }
    }

    /// Appends the rows of the nodes of `graph` to `out`.
    fn write_nodes(&self, graph: &Graph, out: &mut Vec<f32>) {
        let first = out.len();
        let width = self.schema.node_width();
        match self.schema.nodes.width() {
            // A model needs something to start from where nodes are told apart by edges alone.
            0 => out.resize(first + graph.n_nodes(), 1.0),
            _ => graph.nodes.write(&self.schema.nodes, out),
        }
        if self.normalize == Normalize::Row {
            for row in out[first..].chunks_exact_mut(width) {
                let sum: f32 = row.iter().sum();
                if sum != 0.0 {
                    row.iter_mut().for_each(|x| *x /= sum);
                }
            }
        }
    }
}

/// What is asked about each graph.
#[derive(Debug)]
pub(super) enum Answers {
    /// The class of each node; [`IGNORED`] where it is not asked.
    Nodes(Vec<Arc<[u32]>>),
    /// The class of the graph.
    Classes(Vec<u32>),
    /// The number of the graph, in the unit of the data.
    Numbers(Vec<f32>),
    /// Which pairs of nodes are linked.
    Links(Vec<Asked>),
    /// Pairs of nodes of which nobody says whether they are linked.
    Pairs(Vec<Vec<[u32; 2]>>),
}

/// Links that are asked about, among others that are none.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) pairs: Vec<[u32; 2]>,
    /// All links of the graph, so that what is not drawn as a link is none.
    pub(super) all: Arc<Csr>,
}

/// One part of a set: some graphs, and one question about each.
#[derive(Debug)]
pub(super) struct Part {
    set: Arc<Set>,
    /// Which graphs.
    items: Vec<usize>,
    /// As many as items.
    answers: Answers,
    seed: u64,
    training: bool,
    /// The input, where there is one graph and nothing is drawn.
    whole: OnceLock<Graphs>,
}

impl Part {
    pub(super) fn new(
        set: Arc<Set>,
        items: Vec<usize>,
        answers: Answers,
        seed: u64,
        training: bool,
    ) -> Self {
        debug_assert!(!items.is_empty());
        Self {
            set,
            items,
            answers,
            seed,
            training,
            whole: OnceLock::new(),
        }
    }

    /// The stream of draws about `graph` in `epoch`. What is not trained on is asked the
    /// same in every epoch.
    fn key(&self, epoch: u64, graph: usize) -> Key {
        Key {
            seed: self.seed,
            domain: Domain::Graphs,
            step: match self.training {
                true => epoch as u32,
                false => u32::MAX,
            },
            site: graph as u32,
        }
    }

    /// The disjoint union of the graphs of `samples`.
    fn union(&self, samples: &[Sample]) -> Result<Graphs> {
        let set = &*self.set;
        let encoded = set.encodings.width();
        let (mut nodes, mut encoding) = (Vec::new(), Vec::new());
        let (mut offsets, mut sources, mut values) = (vec![0u32], Vec::new(), Vec::new());
        let n_rows: usize = samples.iter().map(|s| self.graph(s).n_nodes()).sum();
        if u32::try_from(n_rows).is_err() {
            return Err(Error::BatchTooLarge { positions: n_rows });
        }
        for sample in samples {
            let graph = self.graph(sample);
            let first = offsets.len() as u32 - 1;
            let n_before = sources.len() as u32;
            set.write_nodes(graph, &mut nodes);
            for node in 0..graph.n_nodes() {
                sources.extend(
                    graph
                        .edges
                        .sources(node)
                        .iter()
                        .map(|&source| first + source),
                );
                offsets.push(n_before + graph.edges.edges(node).end as u32);
            }
            if set.schema.edges.width() > 0 {
                graph.edge_values.write(&set.schema.edges, &mut values);
            }
            let start = encoding.len();
            encoding.extend_from_slice(&graph.encoding);
            if self.training {
                let key = self.key(sample.epoch, self.items[sample.index as usize]);
                let columns = set.encodings.laplacian;
                structure::flip(&mut encoding[start..], encoded, columns, key);
            }
        }
        let rows = |values, width| Rows::new(values, width).map_err(too_large);
        Ok(Graphs {
            nodes: rows(nodes, set.schema.node_width())?,
            edges: Arc::new(Csr::new(offsets, sources)?),
            edge_features: match set.schema.edges.width() {
                0 => None,
                width => Some(rows(values, width)?),
            },
            structure: match encoded {
                0 => None,
                width => Some(rows(encoding, width)?),
            },
        })
    }

    fn graph(&self, sample: &Sample) -> &Graph {
        &self.set.graphs[self.items[sample.index as usize]]
    }

    fn targets(&self, samples: &[Sample], ends: &[usize]) -> Targets {
        let chosen = || samples.iter().map(|sample| sample.index as usize);
        match &self.answers {
            Answers::Nodes(classes) => {
                let all: Vec<u32> = chosen().flat_map(|i| classes[i].iter().copied()).collect();
                Targets::Classes(all.into())
            }
            Answers::Classes(classes) => Targets::Classes(chosen().map(|i| classes[i]).collect()),
            Answers::Numbers(numbers) => Targets::Numbers(chosen().map(|i| numbers[i]).collect()),
            Answers::Pairs(asked) => {
                let firsts = std::iter::once(0).chain(ends.iter().copied());
                let pairs: Vec<[u32; 2]> = (chosen().zip(firsts))
                    .flat_map(|(i, first)| {
                        let first = first as u32;
                        asked[i].iter().map(move |&[a, b]| [first + a, first + b])
                    })
                    .collect();
                Targets::Links {
                    present: vec![0; pairs.len()].into(),
                    pairs: pairs.into(),
                }
            }
            Answers::Links(asked) => {
                let (mut pairs, mut present) = (Vec::new(), Vec::new());
                for (k, (sample, i)) in samples.iter().zip(chosen()).enumerate() {
                    let first = k.checked_sub(1).map_or(0, |before| ends[before]) as u32;
                    let key = self.key(sample.epoch, self.items[i]);
                    let none = links::none(&asked[i].all, asked[i].pairs.len(), key);
                    present.extend(std::iter::repeat_n(1, asked[i].pairs.len()));
                    present.extend(std::iter::repeat_n(0, none.len()));
                    let both = asked[i].pairs.iter().chain(&none);
                    pairs.extend(both.map(|&[a, b]| [first + a, first + b]));
                }
                Targets::Links {
                    pairs: pairs.into(),
                    present: present.into(),
                }
            }
        }
    }
}

/// More numbers than a row has, which no file brings about.
fn too_large(error: impl std::fmt::Display) -> Error {
    Error::Graph {
        at: crate::Place::file("batch"),
        reason: error.to_string(),
        remedy: "use a smaller batch_size",
    }
}

impl Samples for Part {
    fn len(&self) -> u64 {
        self.items.len() as u64
    }

    fn pack(&self, samples: &[Sample], pattern: &Pattern) -> Result<Batch> {
        let mut n = 0;
        let ends: Vec<usize> = samples
            .iter()
            .map(|sample| {
                n += self.graph(sample).n_nodes();
                n
            })
            .collect();
        let constant = !self.training || self.set.encodings.laplacian == 0;
        let graphs = match self.items.len() == 1 && samples.len() == 1 && constant {
            true => match self.whole.get() {
                Some(graphs) => graphs.clone(),
                None => {
                    let graphs = self.union(samples)?;
                    self.whole.get_or_init(|| graphs).clone()
                }
            },
            false => self.union(samples)?,
        };
        let targets = self.targets(samples, &ends);
        Batch::pack(Input::Graphs(graphs), &ends, targets, pattern)
    }
}

/// Classes of the nodes of `graph` where `asked` says so.
pub(super) fn classes_where(graph: &Graph, asked: impl Fn(usize) -> bool) -> Arc<[u32]> {
    let class = |node| match asked(node) {
        true => graph.class_of(node),
        false => IGNORED,
    };
    (0..graph.n_nodes()).map(class).collect()
}
