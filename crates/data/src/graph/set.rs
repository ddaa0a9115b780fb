//! Graphs in memory.

use attn_core::mask::Csr;
use serde::{Deserialize, Serialize};

use crate::{IGNORED, Place};

/// The index of a category that the training data never showed; its row of a one-hot
/// column is zero.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// What a node, a graph or an edge is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// Learnt from.
    Train,
    /// Chosen by.
    Val,
    /// Set aside.
    Test,
    /// There, and read by others, but never a target.
    Rest,
}

impl Part {
    /// The part that a file calls `name`; `None` if there is none of that name.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "val" | "valid" | "validation" | "dev" => Some(Self::Val),
            "test" => Some(Self::Test),
            "rest" | "none" | "" | "unlabeled" | "unlabelled" => Some(Self::Rest),
            _ => None,
        }
    }
}

/// What the values of nodes or edges mean.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// The names of each column of categories, in the order of their one-hot columns.
    pub categories: Vec<Vec<String>>,
    /// Numbers of each row.
    pub numbers: usize,
    /// Ids of the set that each row has are below this.
    pub ids: usize,
}

impl Columns {
    /// Columns of the matrix that the values become: one for each category, number and id.
    pub fn width(&self) -> usize {
        let categories: usize = self.categories.iter().map(Vec::len).sum();
        categories + self.numbers + self.ids
    }
}

/// What a model must know of its data to read other graphs alike.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// Values of nodes.
    pub nodes: Columns,
    /// Values of edges.
    pub edges: Columns,
    /// Names of the classes, sorted; empty where numbers or links are learnt.
    pub classes: Vec<String>,
    /// By what a model standardises the numbers to be learnt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
}

impl Schema {
    /// Numbers of a node: the width of its columns, or a 1 where it has none.
    pub fn node_width(&self) -> usize {
        self.nodes.width().max(1)
    }
}

/// Mean and standard deviation of the numbers of the training part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation; 1 where all are equal.
    pub deviation: f64,
}

impl Scale {
    /// The scale of `numbers`.
    pub(super) fn of(numbers: &[f64]) -> Self {
        let n = numbers.len().max(1) as f64;
        let mean = numbers.iter().sum::<f64>() / n;
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let deviation = match variance.sqrt() {
            deviation if deviation > 0.0 => deviation,
            _ => 1.0,
        };
        Self { mean, deviation }
    }
}

/// Values of the nodes or edges of one graph, a row each, as compact as their file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Values {
    pub(super) rows: usize,
    /// `[rows, columns]`, indices into the names of [`Columns::categories`]
    pub(super) categories: Vec<u32>,
    /// `[rows, numbers]`
    pub(super) numbers: Vec<f32>,
    /// Where the ids of each row end; empty if no row has ids.
    pub(super) id_ends: Vec<usize>,
    pub(super) ids: Vec<u32>,
}

impl Values {
    /// Appends row `row` of `other`, or a row of nothing.
    pub(super) fn push_from(&mut self, other: &Self, row: Option<usize>, columns: &Columns) {
        let (c, m) = (columns.categories.len(), columns.numbers);
        match row {
            Some(row) => {
                let categories = &other.categories[row * c..(row + 1) * c];
                self.categories.extend_from_slice(categories);
                self.numbers
                    .extend_from_slice(&other.numbers[row * m..(row + 1) * m]);
                self.ids.extend_from_slice(other.ids_of(row));
            }
            None => {
                self.categories.extend(std::iter::repeat_n(UNKNOWN, c));
                self.numbers.extend(std::iter::repeat_n(0.0, m));
            }
        }
        self.rows += 1;
        if columns.ids > 0 {
            self.id_ends.push(self.ids.len());
        }
    }

    /// Whether rows `a` and `b` hold the same.
    pub(super) fn same(&self, a: usize, b: usize, columns: &Columns) -> bool {
        let (c, m) = (columns.categories.len(), columns.numbers);
        let row = |i: usize| {
            (
                &self.categories[i * c..(i + 1) * c],
                &self.numbers[i * m..(i + 1) * m],
                self.ids_of(i),
            )
        };
        row(a) == row(b)
    }

    fn ids_of(&self, row: usize) -> &[u32] {
        let Some(&end) = self.id_ends.get(row) else {
            return &[];
        };
        let start = row.checked_sub(1).map_or(0, |before| self.id_ends[before]);
        &self.ids[start..end]
    }

    /// Appends the matrix `[rows, columns.width()]` to `out`.
    pub(super) fn write(&self, columns: &Columns, out: &mut Vec<f32>) {
        let (c, m) = (columns.categories.len(), columns.numbers);
        let width = columns.width();
        let first = out.len();
        out.resize(first + self.rows * width, 0.0);
        for row in 0..self.rows {
            let out = &mut out[first + row * width..first + (row + 1) * width];
            let mut at = 0;
            for (names, &category) in columns
                .categories
                .iter()
                .zip(&self.categories[row * c..(row + 1) * c])
            {
                if (category as usize) < names.len() {
                    out[at + category as usize] = 1.0;
                }
                at += names.len();
            }
            out[at..at + m].copy_from_slice(&self.numbers[row * m..(row + 1) * m]);
            at += m;
            for &id in self.ids_of(row) {
                // An id that the training data never showed has no column.
                if (id as usize) < columns.ids {
                    out[at + id as usize] = 1.0;
                }
            }
        }
    }
}

/// What a whole graph is labelled with, as its file has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Label {
    pub(super) text: String,
    pub(super) at: Place,
}

/// One graph.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Graph {
    /// Where it was read.
    pub(super) at: Place,
    pub(super) nodes: Values,
    /// Sorted by destination.
    pub(super) edges: Csr,
    /// Rows in the order of `edges`.
    pub(super) edge_values: Values,
    /// Structural encodings, `[n_nodes, width]`.
    pub(super) encoding: Vec<f32>,
    /// Class of each node, [`IGNORED`] for none; empty if no node has one.
    pub(super) node_classes: Vec<u32>,
    /// Parts of the nodes, if the file has them.
    pub(super) node_parts: Vec<Part>,
    /// Pairs of nodes that the file asks about, which need not be edges.
    pub(super) pairs: Vec<[u32; 2]>,
    pub(super) label: Option<Label>,
    /// Part of the whole graph, if the file has it.
    pub(super) part: Option<Part>,
}

impl Graph {
    pub(super) fn n_nodes(&self) -> usize {
        self.edges.n_rows()
    }

    /// Class of `node`, or [`IGNORED`].
    pub(super) fn class_of(&self, node: usize) -> u32 {
        self.node_classes.get(node).copied().unwrap_or(IGNORED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_one_hot_columns_numbers_and_sets() {
        let columns = Columns {
            categories: vec![vec!["C".into(), "N".into()], vec!["x".into()]],
            numbers: 1,
            ids: 3,
        };
        let values = Values {
            rows: 2,
            categories: vec![1, 0, UNKNOWN, 0],
            numbers: vec![0.5, -2.0],
            id_ends: vec![2, 3],
            ids: vec![0, 2, 7],
        };
        let mut out = vec![9.0];
        values.write(&columns, &mut out);
        let first = [0.0, 1.0, 1.0, 0.5, 1.0, 0.0, 1.0];
        let second = [0.0, 0.0, 1.0, -2.0, 0.0, 0.0, 0.0];
        assert_eq!(out[1..], [first, second].concat());
    }

    #[test]
    fn a_scale_never_divides_by_zero() {
        let scale = Scale::of(&[1.0, 3.0]);
        assert_eq!((scale.mean, scale.deviation), (2.0, 1.0));
        assert_eq!(Scale::of(&[4.0, 4.0]).deviation, 1.0);
    }
}
