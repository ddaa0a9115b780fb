//! Which graphs, nodes and links each part has, and what it asks about them.

use std::sync::Arc;

use super::at::At;
use super::load::Loaded;
use super::names::Names;
use super::samples::{Answers, Asked, Part as PartSamples, Set, classes_where};
use super::set::{Graph, Part, Schema};
use super::split::{Cut, cut_off, folds};
use super::{GraphDataConfig, GraphTask, links, read};
use crate::{Error, IGNORED, Place, Result};

/// Cuts graphs into parts.
pub(super) struct Cutter<'a> {
    pub(super) config: &'a GraphDataConfig,
    pub(super) task: GraphTask,
    pub(super) seed: u64,
    pub(super) place: &'a Place,
}

/// Which graphs each part has, and what it asks of them: training, validation, test.
///
/// Graphs are counted through those of the main file, then validation, then test.
pub(super) struct Parts([Vec<usize>; 3], Questions);

enum Questions {
    /// By part, then by graph of the part.
    Nodes([Vec<Arc<[u32]>>; 3]),
    Classes([Vec<u32>; 3]),
    Numbers([Vec<f64>; 3]),
    Links([Vec<Asked>; 3]),
}

impl Cutter<'_> {
    /// # Errors
    ///
    /// A label that is missing or none of the classes, and nothing left to train on.
    pub(super) fn cut(
        &self,
        loaded: &mut Loaded,
        classes: &[u32],
        names: &mut Names,
    ) -> Result<Parts> {
        match self.task {
            GraphTask::Links => return Ok(self.cut_links(loaded, names)),
            GraphTask::Nodes => {
                let marked = loaded.main.iter().any(|graph| !graph.node_parts.is_empty());
                let alone = loaded.main.len() == 1 && loaded.val.is_empty();
                if marked || (alone && self.config.test().is_none()) {
                    return self.cut_nodes(&loaded.main, marked);
                }
            }
            _ => {}
        }
        let parts = self.graph_parts(&loaded.main, classes)?;
        let (n, n_val) = (loaded.main.len(), loaded.val.len());
        let of = |part| (0..n).filter(|&i| parts[i] == part).collect::<Vec<_>>();
        let mut items = [of(Part::Train), of(Part::Val), of(Part::Test)];
        items[1].extend(n..n + n_val);
        items[2].extend(n + n_val..n + n_val + loaded.test.len());
        if items[0].is_empty() {
            return Err(nothing_to_train(self.place));
        }
        let graphs: Vec<&Graph> = loaded.all().map(|graph| &*graph).collect();
        let questions = match self.task {
            GraphTask::Nodes => {
                let every = |&i: &usize| classes_where(graphs[i], |_| true);
                Questions::Nodes(
                    items
                        .each_ref()
                        .map(|items| items.iter().map(every).collect()),
                )
            }
            GraphTask::Numbers => {
                let mut numbers = graph_numbers(&loaded.main)?;
                numbers.extend(graph_numbers(&loaded.val)?);
                Questions::Numbers(pick(&items, &numbers))
            }
            GraphTask::Classes | GraphTask::Links => {
                let mut all = classes.to_vec();
                all.extend(graph_classes(&loaded.val, names)?);
                Questions::Classes(pick(&items, &all))
            }
        };
        if let Questions::Nodes([train, ..]) = &questions
            && !train
                .iter()
                .any(|nodes| nodes.iter().any(|&class| class != IGNORED))
        {
            return Err(no_training_node(self.place));
        }
        Ok(Parts(items, questions))
    }

    /// The part of each graph.
    fn graph_parts(&self, graphs: &[Graph], classes: &[u32]) -> Result<Vec<Part>> {
        let n = graphs.len();
        if graphs.iter().any(|graph| graph.part.is_some()) {
            let part = |graph: &Graph| graph.part.unwrap_or(Part::Rest);
            return Ok(graphs.iter().map(part).collect());
        }
        let class_of = |i: usize| classes.get(i).copied().unwrap_or(0);
        let mut parts = vec![Part::Train; n];
        let mut mark = |which: &[usize], is: &[bool], part| {
            for (&i, _) in which.iter().zip(is).filter(|&(_, &is)| is) {
                parts[i] = part;
            }
        };
        let all: Vec<usize> = (0..n).collect();
        let of = |which: &[usize]| which.iter().map(|&i| class_of(i)).collect::<Vec<_>>();
        let mut left = all.clone();
        let is_test = match (self.config.fold(), self.config.fold_files()) {
            (Some((fold, _)), Some(folder)) => {
                let fold = read::fold(folder, fold, n)?;
                left = fold.train;
                let rest: Vec<bool> = all.iter().map(|i| !left.contains(i)).collect();
                mark(&all, &rest, Part::Rest);
                all.iter().map(|i| fold.test.contains(i)).collect()
            }
            (Some((fold, n_folds)), None) => {
                let fold_of = folds(&of(&all), n_folds, self.seed);
                fold_of.iter().map(|&f| f == fold - 1).collect()
            }
            _ if self.config.test().is_some() => vec![false; n],
            _ => cut_off(&of(&all), self.config.test_fraction(), self.seed, Cut::Test),
        };
        mark(&all, &is_test, Part::Test);
        left.retain(|&i| !is_test[i]);
        let made = self.config.generate().is_some();
        if self.config.val().is_none() && !made && !left.is_empty() {
            let fraction = self.config.val_fraction();
            let is_val = cut_off(&of(&left), fraction, self.seed, Cut::Val);
            mark(&left, &is_val, Part::Val);
        }
        Ok(parts)
    }

    /// Parts of nodes; every part reads all graphs that it asks something about.
    fn cut_nodes(&self, graphs: &[Graph], marked: bool) -> Result<Parts> {
        let drawn: Vec<Part> = match (marked, graphs) {
            (false, [graph]) => self.draw_nodes(graph),
            _ => Vec::new(),
        };
        let part_of = |graph: &Graph, node: usize| match marked {
            true => graph.node_parts.get(node).copied().unwrap_or(Part::Rest),
            false => drawn[node],
        };
        let mut items = [const { Vec::new() }; 3];
        let mut asked = [const { Vec::new() }; 3];
        for (k, part) in [Part::Train, Part::Val, Part::Test].into_iter().enumerate() {
            for (i, graph) in graphs.iter().enumerate() {
                let classes = classes_where(graph, |node| part_of(graph, node) == part);
                if classes.iter().any(|&class| class != IGNORED) {
                    items[k].push(i);
                    asked[k].push(classes);
                }
            }
        }
        if items[0].is_empty() {
            return Err(no_training_node(self.place));
        }
        Ok(Parts(items, Questions::Nodes(asked)))
    }

    /// Parts of the labelled nodes of one graph.
    fn draw_nodes(&self, graph: &Graph) -> Vec<Part> {
        let labelled: Vec<usize> = (0..graph.n_nodes())
            .filter(|&node| graph.class_of(node) != IGNORED)
            .collect();
        let of = |nodes: &[usize]| nodes.iter().map(|&i| graph.class_of(i)).collect::<Vec<_>>();
        let mut parts = vec![Part::Rest; graph.n_nodes()];
        let (test, val) = (self.config.test_fraction(), self.config.val_fraction());
        let is_test = cut_off(&of(&labelled), test, self.seed, Cut::Test);
        let mut left = Vec::new();
        for (&node, is_test) in labelled.iter().zip(is_test) {
            match is_test {
                true => parts[node] = Part::Test,
                false => left.push(node),
            }
        }
        let is_val = cut_off(&of(&left), val, self.seed, Cut::Val);
        for (&node, is_val) in left.iter().zip(is_val) {
            parts[node] = if is_val { Part::Val } else { Part::Train };
        }
        parts
    }

    fn cut_links(&self, loaded: &mut Loaded, names: &Names) -> Parts {
        let mut items = [const { Vec::new() }; 3];
        let mut asked = [const { Vec::new() }; 3];
        let (test, val) = (self.config.test_fraction(), self.config.val_fraction());
        for (i, graph) in loaded.main.iter_mut().enumerate() {
            let cutting = links::cut(&graph.edges, val, test, self.seed.wrapping_add(i as u64));
            let all = Arc::new(graph.edges.clone());
            links::with_links(graph, &cutting.train, &names.schema.edges);
            let parts = [cutting.train, cutting.val, cutting.test];
            for (k, pairs) in parts.into_iter().enumerate() {
                if !pairs.is_empty() {
                    let all = Arc::clone(&all);
                    items[k].push(i);
                    asked[k].push(Asked { pairs, all });
                }
            }
        }
        Parts(items, Questions::Links(asked))
    }
}

fn no_training_node(place: &Place) -> Error {
    At::place(place).refuse(
        "no node of the training part has a label",
        "mark labelled nodes as train",
    )
}

fn pick<T: Copy>(items: &[Vec<usize>; 3], all: &[T]) -> [Vec<T>; 3] {
    // Graphs that are made have no labels of their own; no task reaches past the others.
    let of = |items: &Vec<usize>| items.iter().filter_map(|&i| all.get(i).copied()).collect();
    items.each_ref().map(of)
}

impl Parts {
    /// The numbers that are learnt, if numbers are.
    pub(super) fn train_numbers(&self) -> Vec<f64> {
        match &self.1 {
            Questions::Numbers([train, ..]) => train.clone(),
            _ => Vec::new(),
        }
    }

    /// The parts, ready to be packed; `None` for one that has nothing.
    pub(super) fn into_samples(
        self,
        loaded: Loaded,
        schema: &Schema,
        config: &GraphDataConfig,
        seed: u64,
    ) -> [Option<Arc<PartSamples>>; 3] {
        let Loaded {
            mut main,
            val,
            test,
        } = loaded;
        main.extend(val);
        main.extend(test);
        let set = Arc::new(Set::new(main, schema, config));
        let answers = match self.1 {
            Questions::Nodes(parts) => parts.map(Answers::Nodes),
            Questions::Classes(parts) => parts.map(Answers::Classes),
            Questions::Numbers(parts) => parts.map(|of| numbers(&of)),
            Questions::Links(parts) => parts.map(Answers::Links),
        };
        let mut training = true;
        let mut parts = self.0.into_iter().zip(answers).map(|(items, answers)| {
            let trains = std::mem::take(&mut training);
            (!items.is_empty())
                .then(|| Arc::new(PartSamples::new(set.clone(), items, answers, seed, trains)))
        });
        std::array::from_fn(|_| parts.next().flatten())
    }
}

pub(super) fn numbers(numbers: &[f64]) -> Answers {
    Answers::Numbers(numbers.iter().map(|&x| x as f32).collect())
}

/// The class of each graph.
pub(super) fn graph_classes(graphs: &[Graph], names: &mut Names) -> Result<Vec<u32>> {
    let class = |graph: &Graph| match &graph.label {
        Some(label) => names.class(&label.text, &label.at),
        None => Err(no_label(graph)),
    };
    graphs.iter().map(class).collect()
}

/// The number of each graph.
pub(super) fn graph_numbers(graphs: &[Graph]) -> Result<Vec<f64>> {
    let number = |graph: &Graph| {
        let label = graph.label.as_ref().ok_or_else(|| no_label(graph))?;
        let number = label.text.parse().ok().filter(|x: &f64| x.is_finite());
        number.ok_or_else(|| {
            At::place(&label.at).refuse(
                format!("label `{}` is not a finite number", label.text),
                "name a column of numbers with data.label_column, or learn classes",
            )
        })
    };
    graphs.iter().map(number).collect()
}

fn no_label(graph: &Graph) -> Error {
    At::place(&graph.at).refuse(
        "the graph has no label",
        "give it one, or name the column that has it with data.label_column",
    )
}

pub(super) fn nothing_to_train(place: &Place) -> Error {
    At::place(place).refuse(
        "nothing is left to train on",
        "mark something as train, or hold out less",
    )
}
