//! From a `[data]` table to parts that can be trained on.

use std::sync::Arc;

use super::at::At;
use super::cut::{Cutter, graph_classes, graph_numbers, nothing_to_train, numbers};
use super::load::{hash_files, load};
use super::names::Names;
use super::prepare::{add_columns, prepare};
use super::samples::{Answers, Asked, Part as PartSamples, Set, classes_where};
use super::set::{Graph, Scale, Schema};
use super::{GraphDataConfig, links, read};
use crate::{Error, IGNORED, Place, Result, Samples};

/// What is to be learnt of graphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraphTask {
    /// The class of each node.
    Nodes,
    /// The class of each graph.
    Classes,
    /// The number of each graph.
    Numbers,
    /// Which nodes are linked.
    Links,
}

/// Graphs cut into parts, ready to be packed.
///
/// Parts come, in this order, from files of their own (`val`, `test`), from marks of nodes
/// or graphs in the file, from a fold, or are drawn by the seed, alike in classes. Where
/// nodes have parts, every part reads the whole graph and asks about its own nodes. Of
/// links only those of the training part are told to the model.
#[derive(Debug)]
pub struct GraphData {
    schema: Schema,
    fingerprint: blake3::Hash,
    train: Arc<PartSamples>,
    val: Option<Arc<PartSamples>>,
    test: Option<Arc<PartSamples>>,
    later: Option<Later>,
}

/// What is needed to read the test file when it is asked for.
#[derive(Debug)]
struct Later {
    config: GraphDataConfig,
    task: GraphTask,
    seed: u64,
}

impl GraphData {
    /// Reads, checks and cuts the graphs that `config` names.
    ///
    /// `seed` draws parts and links; `schema` is that of a model that was trained before.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or is not what its format promises, if no part or only one
    /// class is left to train on, or a label is missing or none of the classes.
    pub fn open(
        config: &GraphDataConfig,
        task: GraphTask,
        seed: u64,
        schema: Option<&Schema>,
    ) -> Result<Self> {
        let mut fingerprint = blake3::Hasher::new();
        let mut names = match schema {
            Some(schema) => Names::frozen(&without_distances(schema, config)),
            None => Names::default(),
        };
        let mut loaded = load(config, &mut names, &mut fingerprint)?;
        let mut classes = Vec::new();
        if task == GraphTask::Classes {
            classes = graph_classes(&loaded.main, &mut names)?;
        }
        if schema.is_none() {
            let moved = names.freeze();
            let moved = |class: &mut u32| {
                if let Some(&new) = moved.get(*class as usize) {
                    *class = new;
                }
            };
            classes.iter_mut().for_each(moved);
            for graph in loaded.all() {
                graph.node_classes.iter_mut().for_each(moved);
            }
        }
        if let Some(path) = config.val() {
            loaded.val = read::read(path, config, &mut names)?;
            hash_files(path, config, &mut fingerprint)?;
        }
        let mut schema = names.schema.clone();
        add_columns(&mut schema, config);
        let place = Place::file(config.path());
        check_classes(task, &schema, &place)?;

        let cutter = Cutter {
            config,
            task,
            seed,
            place: &place,
        };
        let parts = cutter.cut(&mut loaded, &classes, &mut names)?;
        if task == GraphTask::Numbers && schema.scale.is_none() {
            schema.scale = Some(Scale::of(&parts.train_numbers()));
        }
        for graph in loaded.all() {
            prepare(graph, &schema, config)?;
        }
        let later = config.test().map(|_| Later {
            config: config.clone(),
            task,
            seed,
        });
        let [train, val, test] = parts.into_samples(loaded, &schema, config, seed);
        Ok(Self {
            schema,
            fingerprint: fingerprint.finalize(),
            train: train.ok_or_else(|| nothing_to_train(&place))?,
            val,
            test,
            later,
        })
    }

    /// What a model must know to read other graphs alike.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Hash of the training and validation data and of how they are cut.
    pub fn fingerprint(&self) -> blake3::Hash {
        self.fingerprint
    }

    /// What is learnt from.
    pub fn train(&self) -> Arc<dyn Samples> {
        Arc::clone(&self.train) as _
    }

    /// What is chosen by, if anything.
    pub fn val(&self) -> Option<Arc<dyn Samples>> {
        self.val.as_ref().map(|part| Arc::clone(part) as _)
    }

    /// What is set aside, if anything. A file of its own is read now.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn test(&self) -> Result<Option<Arc<dyn Samples>>> {
        let Some(Later { config, task, seed }) = &self.later else {
            return Ok(self.test.as_ref().map(|part| Arc::clone(part) as _));
        };
        let path = config
            .test()
            .expect("there is a test file to be read later");
        let mut names = Names::frozen(&without_distances(&self.schema, config));
        let graphs = read::read(path, config, &mut names)?;
        let part = whole(graphs, *task, &self.schema, config, *seed, &mut names)?;
        Ok(Some(part))
    }
}

/// Every graph of a file as one part, for a model of `task` that was trained before. Labels
/// of graphs are not needed; a node may have none. Of links the targets are the `pairs` of
/// the file, of which nobody says whether they are links: all count as none.
///
/// The format is that of `config` where its data have the same extension, else what the
/// extension says.
///
/// # Errors
///
/// If the file cannot be read, holds graphs that the model cannot read or, where links are
/// asked about, no pairs.
pub fn graphs_of_file(
    path: &std::path::Path,
    config: &GraphDataConfig,
    task: GraphTask,
    schema: &Schema,
) -> Result<Arc<dyn Samples>> {
    let mut names = Names::frozen(&without_distances(schema, config));
    names.forget_classes();
    let mut graphs = read::read_as(path, config, &mut names)?;
    if task == GraphTask::Links && graphs.iter().all(|graph| graph.pairs.is_empty()) {
        return Err(At::place(&Place::file(path)).refuse(
            "asks about no links",
            "write JSON with \"pairs\": [[source, target], ...] beside its nodes and edges",
        ));
    }
    for graph in &mut graphs {
        prepare(graph, schema, config)?;
    }
    let items = (0..graphs.len()).collect();
    let answers = match task {
        GraphTask::Links => Answers::Pairs(graphs.iter().map(|g| g.pairs.clone()).collect()),
        _ => Answers::Classes(vec![IGNORED; graphs.len()]),
    };
    let set = Arc::new(Set::new(graphs, schema, config));
    Ok(Arc::new(PartSamples::new(set, items, answers, 0, false)))
}

/// `schema` as files have it: without the column that [`add_columns`] adds.
fn without_distances(schema: &Schema, config: &GraphDataConfig) -> Schema {
    let mut schema = schema.clone();
    if config.hops() > 1 {
        schema.edges.categories.pop();
    }
    schema
}

fn check_classes(task: GraphTask, schema: &Schema, place: &Place) -> Result<()> {
    if !matches!(task, GraphTask::Nodes | GraphTask::Classes) {
        return Ok(());
    }
    match schema.classes.as_slice() {
        [] => Err(At::place(place).refuse(
            "no node has a label",
            "name the column that has it with data.label_column",
        )),
        [label] => Err(Error::OneClass {
            at: place.clone(),
            label: label.clone(),
        }),
        _ => Ok(()),
    }
}

/// All of `graphs` as one part that is not trained on.
fn whole(
    mut graphs: Vec<Graph>,
    task: GraphTask,
    schema: &Schema,
    config: &GraphDataConfig,
    seed: u64,
    names: &mut Names,
) -> Result<Arc<PartSamples>> {
    let mut items: Vec<usize> = (0..graphs.len()).collect();
    let answers = match task {
        GraphTask::Nodes => {
            let every = |graph: &Graph| classes_where(graph, |_| true);
            Answers::Nodes(graphs.iter().map(every).collect())
        }
        GraphTask::Classes => Answers::Classes(graph_classes(&graphs, names)?),
        GraphTask::Numbers => numbers(&graph_numbers(&graphs)?),
        GraphTask::Links => {
            // Of a graph of its own nine links of ten are told and one is asked.
            let mut asked = Vec::new();
            for (i, graph) in graphs.iter_mut().enumerate() {
                let all = Arc::new(graph.edges.clone());
                let cutting = links::cut(&all, 0.0, 0.1, seed.wrapping_add(i as u64));
                links::with_links(graph, &cutting.train, &names.schema.edges);
                let pairs = cutting.test;
                asked.push(Asked { pairs, all });
            }
            items.retain(|&i| !asked[i].pairs.is_empty());
            asked.retain(|asked| !asked.pairs.is_empty());
            Answers::Links(asked)
        }
    };
    for graph in &mut graphs {
        prepare(graph, schema, config)?;
    }
    let set = Arc::new(Set::new(graphs, schema, config));
    Ok(Arc::new(PartSamples::new(set, items, answers, seed, false)))
}
