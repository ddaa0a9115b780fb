//! Names that become numbers while graphs are read: categories, classes.

use std::collections::HashMap;

use super::at::At;
use super::set::{Columns, Schema, UNKNOWN, Values};
use crate::{Error, IGNORED, Place, Result};

/// Widest row of values.
const MAX_WIDTH: usize = 1 << 16;
/// Most nodes or edges of one graph.
const MAX_ROWS: usize = 1 << 27;

/// Values of one node or edge as a file has them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Row {
    pub(super) categories: Vec<String>,
    pub(super) numbers: Vec<f32>,
    pub(super) ids: Vec<u32>,
}

/// What was learnt of the columns so far, file after file.
///
/// The training data decide: afterwards the names are frozen, and what they lack is
/// unknown.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) schema: Schema,
    frozen: bool,
    any_class: bool,
    nodes: Vec<HashMap<String, u32>>,
    edges: Vec<HashMap<String, u32>>,
    classes: HashMap<String, u32>,
    /// Whether a node or an edge was seen, which fixes its columns.
    seen: [bool; 2],
}

impl Names {
    /// The names of a model that was trained before.
    pub(super) fn frozen(schema: &Schema) -> Self {
        let maps = |columns: &Columns| columns.categories.iter().map(|n| index(n)).collect();
        Self {
            schema: schema.clone(),
            frozen: true,
            any_class: false,
            nodes: maps(&schema.nodes),
            edges: maps(&schema.edges),
            classes: index(&schema.classes),
            seen: [true; 2],
        }
    }

    /// Sorts the classes, and freezes all names; the new index of each class.
    pub(super) fn freeze(&mut self) -> Vec<u32> {
        let mut order: Vec<usize> = (0..self.schema.classes.len()).collect();
        let number = |i: &usize| self.schema.classes[*i].parse::<i64>().ok();
        match order.iter().all(|i| number(i).is_some()) {
            true => order.sort_by_key(number),
            false => order.sort_by(|&a, &b| self.schema.classes[a].cmp(&self.schema.classes[b])),
        }
        let mut moved = vec![0; order.len()];
        for (new, &old) in order.iter().enumerate() {
            moved[old] = new as u32;
        }
        self.schema.classes = order
            .iter()
            .map(|&i| self.schema.classes[i].clone())
            .collect();
        self.classes = index(&self.schema.classes);
        self.frozen = true;
        moved
    }

    /// Takes every label for a class, even of frozen names: where nothing is learnt,
    /// labels do not matter.
    pub(super) fn forget_classes(&mut self) {
        self.any_class = true;
    }

    /// The class called `name`.
    ///
    /// # Errors
    ///
    /// If the names are frozen and it is not among them.
    pub(super) fn class(&mut self, name: &str, at: &Place) -> Result<u32> {
        if let Some(&class) = self.classes.get(name) {
            return Ok(class);
        }
        if self.any_class {
            return Ok(IGNORED);
        }
        if self.frozen {
            return Err(Error::UnknownLabel {
                at: at.clone(),
                label: name.into(),
                labels: self.schema.classes.clone(),
            });
        }
        let class = self.schema.classes.len() as u32;
        self.schema.classes.push(name.into());
        self.classes.insert(name.into(), class);
        Ok(class)
    }

    /// Adds `row` to `values`, the values of the nodes or edges of one graph.
    ///
    /// # Errors
    ///
    /// Other numbers of features than the others have, and features that are none.
    pub(super) fn push(
        &mut self,
        kind: Kind,
        row: &Row,
        values: &mut Values,
        at: &At,
    ) -> Result<()> {
        let (columns, maps) = match kind {
            Kind::Node => (&mut self.schema.nodes, &mut self.nodes),
            Kind::Edge => (&mut self.schema.edges, &mut self.edges),
        };
        let seen = &mut self.seen[kind as usize];
        let what = kind.name();
        if !*seen {
            *seen = true;
            columns.categories = vec![Vec::new(); row.categories.len()];
            maps.resize_with(row.categories.len(), HashMap::new);
            columns.numbers = row.numbers.len();
        }
        let numbers = (row.numbers.len(), columns.numbers, "numbers");
        let categories = (row.categories.len(), columns.categories.len(), "categories");
        for (found, expected, of) in [numbers, categories] {
            if found == expected {
                continue;
            }
            let (others, remedy) = match self.frozen {
                true => ("training", "give every one what the model was trained on"),
                false => ("other", "give every one the same features"),
            };
            let reason = format!("{found} {of}, but the {others} {what}s have {expected}");
            return Err(at.refuse(reason, remedy));
        }
        if let Some(number) = row.numbers.iter().find(|number| !number.is_finite()) {
            return Err(at.refuse(
                format!("a feature of this {what} is {number}"),
                "write a finite number, or leave the graph out",
            ));
        }
        for ((names, map), name) in columns.categories.iter_mut().zip(maps).zip(&row.categories) {
            let category = match map.get(name) {
                Some(&category) => category,
                None if self.frozen => UNKNOWN,
                None => {
                    let category = names.len() as u32;
                    names.push(name.clone());
                    map.insert(name.clone(), category);
                    category
                }
            };
            values.categories.push(category);
        }
        values.numbers.extend_from_slice(&row.numbers);
        if let Some(&last) = row.ids.iter().max() {
            if last as usize >= MAX_WIDTH {
                return Err(at.refuse(
                    format!("id {last} is not below {MAX_WIDTH}"),
                    "number the ids from 0 without gaps",
                ));
            }
            if !self.frozen {
                columns.ids = columns.ids.max(last as usize + 1);
            }
        }
        values.ids.extend_from_slice(&row.ids);
        values.id_ends.push(values.ids.len());
        values.rows += 1;
        if columns.width() > MAX_WIDTH {
            return Err(at.refuse(
                format!("the {what}s have more than {MAX_WIDTH} categories, numbers and ids"),
                "leave out a column that is different for nearly every one",
            ));
        }
        if values.rows > MAX_ROWS {
            return Err(at.refuse(
                format!("more than {MAX_ROWS} {what}s"),
                "cut the graph into smaller ones",
            ));
        }
        Ok(())
    }
}

fn index(names: &[String]) -> HashMap<String, u32> {
    let numbered = names.iter().zip(0..);
    numbered.map(|(name, i)| (name.clone(), i)).collect()
}

/// What has values.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Node = 0,
    Edge = 1,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Edge => "edge",
        }
    }
}
