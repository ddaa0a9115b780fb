//! Published folds: which graphs are learnt from and which are set aside.

use std::path::Path;

use super::numbered::parse;
use crate::Result;
use crate::graph::at::At;
use crate::lines::Lines;

/// Numbers of graphs, from 0.
pub(in crate::graph) struct Fold {
    pub(in crate::graph) train: Vec<usize>,
    pub(in crate::graph) test: Vec<usize>,
}

/// Fold `k` of `folder`: `train_idx-K.txt` and `test_idx-K.txt`, of `n_graphs` graphs.
pub(in crate::graph) fn fold(folder: &Path, k: usize, n_graphs: usize) -> Result<Fold> {
    let mut taken = vec![false; n_graphs];
    let mut read = |part: &str| -> Result<Vec<usize>> {
        let mut lines = Lines::open(&folder.join(format!("{part}_idx-{k}.txt")))?;
        let mut graphs = Vec::new();
        while let Some(line) = lines.next_filled()? {
            let graph: usize = parse(line.trim(), "the number of a graph", &lines)?;
            match taken.get_mut(graph) {
                None => {
                    return Err(At::place(&lines.place()).refuse(
                        format!("graph {graph}, but there are {n_graphs}, numbered from 0"),
                        "use the folds of this set",
                    ));
                }
                Some(true) => {
                    return Err(At::place(&lines.place()).refuse(
                        format!("graph {graph} is listed twice in this fold"),
                        "list it once, for training or for the test",
                    ));
                }
                Some(taken) => *taken = true,
            }
            graphs.push(graph);
        }
        Ok(graphs)
    };
    Ok(Fold {
        train: read("train")?,
        test: read("test")?,
    })
}
