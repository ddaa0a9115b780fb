//! Adapters in PEFT's form <https://github.com/huggingface/peft>: which tensor of the file
//! holds which numbers of ours.
//!
//! Where transformers has a class for the model, names and shapes are those that PEFT gives
//! adapters of that class, so that PEFT can put them beside the weights of `train export
//! --format hf`, or of the checkpoint that the run began with. A module of theirs may be
//! several projections of ours: in GPT-2 queries, keys and values are one. The adapters of
//! these stand in one pair of matrices, `A` one above the other, `B` along a diagonal of
//! blocks, so that the product is the same. Other models keep our own names.

mod config;

use std::collections::{BTreeMap, BTreeSet};

use attn_core::lora;
use interop::{Entry, Family, KeyMap, Layout as Order};
use models::Parameter;

pub(super) use self::config::config_json;
use crate::config::RunConfig;
use crate::error::{Error, Result};

/// What stands before every name.
const PREFIX: &str = "base_model.model.";

/// The tensors of a file of adapters.
#[derive(Debug)]
pub(super) struct Layout {
    pieces: Vec<Piece>,
    modules: Vec<Module>,
    /// Whether modules of theirs keep their matrices transposed.
    transposed: bool,
}

/// A module of theirs with an adapter.
#[derive(Debug)]
struct Module {
    name: String,
    /// Adapters of ours that it has.
    n_parts: usize,
}

/// One tensor of the file.
#[derive(Debug)]
pub(super) struct Piece {
    /// Its name.
    pub(super) name: String,
    /// Its shape.
    pub(super) shape: Vec<usize>,
    /// What it is made of; all else is zero.
    pub(super) parts: Vec<Part>,
}

/// One matrix of an adapter, or a parameter that is stored whole, within a tensor.
#[derive(Debug)]
pub(super) struct Part {
    /// Our name.
    pub(super) ours: String,
    /// Our shape.
    pub(super) shape: Vec<usize>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// A block of a matrix of this width, from a row and a column on.
    Block {
        row: usize,
        column: usize,
        width: usize,
    },
    /// As the parameter lies in the checkpoint.
    Entry(Entry),
}

impl Layout {
    /// How the tensors called `ours` are stored; all of them are.
    ///
    /// # Errors
    ///
    /// The model of `config` cannot be made.
    pub(super) fn to_write(config: &RunConfig, ours: &BTreeSet<&str>) -> Result<Self> {
        let is_stored = |part: &Part| ours.contains(part.ours.as_str());
        if let Some(mut theirs) = Self::of_transformers(config)? {
            theirs
                .pieces
                .retain(|piece| piece.parts.iter().any(is_stored));
            let parts = || theirs.pieces.iter().flat_map(|piece| &piece.parts);
            if parts().all(is_stored) && parts().count() == ours.len() {
                return Ok(theirs);
            }
        }
        let mut own = Self::own(config)?;
        own.pieces.retain(|piece| piece.parts.iter().all(is_stored));
        Ok(own)
    }

    /// How a file with tensors of these names is to be read.
    ///
    /// # Errors
    ///
    /// The first name that the model of `config` has no use for; a model that cannot be
    /// made.
    pub(super) fn to_read(config: &RunConfig, names: &BTreeSet<&str>) -> Result<Self> {
        let layouts = [Self::of_transformers(config)?, Some(Self::own(config)?)];
        let unknown = |layout: &Self| -> Vec<&str> {
            let is_known = |name: &str| layout.pieces.iter().any(|piece| piece.name == name);
            names
                .iter()
                .copied()
                .filter(|name| !is_known(name))
                .collect()
        };
        let layouts = layouts.into_iter().flatten();
        let (unknown, layout) = layouts
            .map(|layout| (unknown(&layout), layout))
            .min_by_key(|(unknown, _)| unknown.len())
            .expect("our own names are one of them");
        if let Some(name) = unknown.first() {
            return Err(Error::Data(format!(
                "has `{name}`, which is no part of the model"
            )));
        }
        // A parameter that is not stored is that of the base; an adapter must be.
        let mut layout = layout;
        layout
            .pieces
            .retain(|piece| piece.is_adapter() || names.contains(piece.name.as_str()));
        Ok(layout)
    }

    /// Its tensors.
    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Its tensors.
    pub(super) fn into_pieces(self) -> Vec<Piece> {
        self.pieces
    }

    /// Under our own names.
    fn own(config: &RunConfig) -> Result<Self> {
        let entry = |Parameter { name, shape }: Parameter| Entry {
            ours: name.clone(),
            shape: shape.clone(),
            theirs: name.clone(),
            in_memory: name,
            their_shape: shape,
            layout: Order::Same,
        };
        let parameters = models::parameters(&config.model)?;
        let map = KeyMap {
            entries: parameters.into_iter().map(entry).collect(),
            ..KeyMap::default()
        };
        let layout = Self::new(config, &map, false)?;
        Ok(layout.expect("each projection is a module of its own"))
    }

    /// Under the names of the class of transformers that the model would be exported as;
    /// `None` if there is none.
    fn of_transformers(config: &RunConfig) -> Result<Option<Self>> {
        match interop::export(&config.model, &[]) {
            Ok(exported) => Self::new(config, &exported.map, exported.family == Family::Gpt2),
            Err(_) => Ok(None),
        }
    }

    /// `None` if a projection is not a module, or a part of one, in `map`.
    fn new(config: &RunConfig, map: &KeyMap, transposed: bool) -> Result<Option<Self>> {
        let lora = config.init.as_ref().and_then(|init| init.lora());
        let Some(lora) = lora else { return Ok(None) };
        let rank = lora.adapter().rank();
        let mut modules: Vec<(String, Vec<Projection>)> = Vec::new();
        for Parameter { name, shape } in models::adaptable(&config.model)? {
            if !lora.targets().iter().any(|target| target.matches(&name)) {
                continue;
            }
            let Some((module, projection)) = Projection::of(name, &shape, map) else {
                return Ok(None);
            };
            match modules.iter_mut().find(|(name, _)| *name == module) {
                Some((_, projections)) => projections.push(projection),
                None => modules.push((module, vec![projection])),
            }
        }
        let adapters = modules
            .iter()
            .flat_map(|(name, projections)| pair(name, projections, rank));
        let mut seen = BTreeSet::new();
        let whole = map.assemblies();
        let whole = whole.iter().filter_map(|assembly| {
            let entries = assembly.parts.iter().copied().cloned();
            // A tied weight is asked for twice.
            let entries = entries.filter(|entry| seen.insert(entry.ours.clone()));
            let parts: Vec<Part> = entries.map(Part::whole).collect();
            // PEFT stores modules, and what is none it cannot put back.
            let name = assembly.parts.first().map(|entry| entry.in_memory.as_str());
            let is_of_module = |name: &&str| name.ends_with(".weight") || name.ends_with(".bias");
            Some(Piece {
                name: format!("{PREFIX}{}", name.filter(is_of_module)?),
                shape: assembly.shape.to_vec(),
                parts,
            })
        });
        let pieces = adapters.chain(whole).collect();
        let modules = modules.into_iter().map(|(name, projections)| Module {
            name,
            n_parts: projections.len(),
        });
        Ok(Some(Self {
            pieces,
            modules: modules.collect(),
            transposed,
        }))
    }
}

/// A projection of ours in a module of theirs.
struct Projection {
    /// Our name.
    name: String,
    d_in: usize,
    d_out: usize,
    /// Its first row among those that the module gives, and how many these are.
    start: usize,
    of: usize,
}

impl Projection {
    /// The module of the projection `name`, and where it is there.
    fn of(name: String, shape: &[usize], map: &KeyMap) -> Option<(String, Self)> {
        let &[d_out, d_in] = shape else { return None };
        let weight = |entry: &&Entry| entry.ours.strip_suffix(".weight") == Some(name.as_str());
        let entry = map.entries.iter().find(weight)?;
        let (start, of) = match entry.layout {
            Order::Same => (0, d_out),
            Order::Columns { start, of } => (start, of),
            _ => return None,
        };
        let module = entry.in_memory.strip_suffix(".weight")?.to_owned();
        let projection = Self {
            name,
            d_in,
            d_out,
            start,
            of,
        };
        Some((module, projection))
    }
}

/// Both matrices of the module `name`.
fn pair(name: &str, projections: &[Projection], rank: usize) -> [Piece; 2] {
    let n = projections.len();
    let (d_in, of) = projections.first().map_or((0, 0), |p| (p.d_in, p.of));
    let part = |projection: &Projection, matrix, shape: [usize; 2], row, column, width| Part {
        ours: format!("{}.{matrix}", projection.name),
        shape: shape.to_vec(),
        place: Place::Block { row, column, width },
    };
    let each = || projections.iter().enumerate();
    let down = each().map(|(i, p)| part(p, lora::A, [rank, d_in], i * rank, 0, d_in));
    let up = each().map(|(i, p)| part(p, lora::B, [p.d_out, rank], p.start, i * rank, n * rank));
    [
        Piece {
            name: format!("{PREFIX}{name}.lora_A.weight"),
            shape: vec![n * rank, d_in],
            parts: down.collect(),
        },
        Piece {
            name: format!("{PREFIX}{name}.lora_B.weight"),
            shape: vec![of, n * rank],
            parts: up.collect(),
        },
    ]
}

impl Piece {
    /// Whether it is of an adapter.
    pub(super) fn is_adapter(&self) -> bool {
        self.parts.iter().any(|part| part.is_adapter())
    }

    /// All its numbers, of the values of its parts.
    ///
    /// # Errors
    ///
    /// A part has no values, or not as many as its shape says.
    pub(super) fn values(&self, mut ours: BTreeMap<&str, Vec<f32>>) -> Result<Vec<f32>> {
        let mut values = vec![0.0; self.shape.iter().product()];
        for part in &self.parts {
            let of_part = ours.remove(part.ours.as_str()).unwrap_or_default();
            part.put(&of_part, &mut values)?;
        }
        Ok(values)
    }
}

impl Part {
    fn whole(entry: Entry) -> Self {
        Self {
            ours: entry.ours.clone(),
            shape: entry.shape.clone(),
            place: Place::Entry(entry),
        }
    }

    /// Whether it is a matrix of an adapter.
    pub(super) fn is_adapter(&self) -> bool {
        matches!(self.place, Place::Block { .. })
    }

    /// Its numbers out of those of its tensor, which are as many as the piece says.
    ///
    /// # Errors
    ///
    /// They are not.
    pub(super) fn take(&self, theirs: Vec<f32>) -> Result<Vec<f32>> {
        match &self.place {
            Place::Entry(entry) => {
                let ours = entry.to_ours(theirs);
                ours.map_err(|error| Error::Data(error.to_string()))
            }
            &Place::Block { row, column, width } => {
                let rows = theirs.chunks_exact(width.max(1)).skip(row);
                let columns = column..column + self.shape[1];
                let values = rows
                    .take(self.shape[0])
                    .flat_map(|row| &row[columns.clone()]);
                Ok(values.copied().collect())
            }
        }
    }

    fn put(&self, ours: &[f32], theirs: &mut [f32]) -> Result<()> {
        match &self.place {
            Place::Entry(entry) => {
                let done = entry.to_theirs(ours, theirs);
                done.map_err(|error| Error::Data(error.to_string()))
            }
            &Place::Block { row, column, width } => {
                let rows = theirs.chunks_exact_mut(width.max(1)).skip(row);
                let columns = self.shape[1];
                for (to, from) in rows.zip(ours.chunks_exact(columns.max(1))) {
                    to[column..column + columns].copy_from_slice(from);
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
