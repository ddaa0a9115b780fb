//! What a model starts with beside its seed.

use std::collections::BTreeSet;

use attn_core::{Lora, ParamStore};
use candle_core::{DType, Device, Tensor};
use data::text::Tokenizer;
use encodings::resample;
use models::{ModelConfig, Parameter, adaptable, parameters};

use super::plan::{Origin, Plan};
use super::{Init, Report, vocabulary};
use crate::config::{Names, RunConfig};
use crate::error::{Error, Result};
use crate::model_folder::Stored;

/// What a model starts with beside its seed; the default is nothing.
#[derive(Debug, Default)]
pub struct First {
    /// The model, and which of its parameters are taken as they are.
    source: Option<Stored>,
    values: Vec<Parameter>,
    /// Tables of positions at their new length.
    resampled: Vec<(Parameter, Vec<f32>)>,
    rows: Vec<Rows>,
    frozen: BTreeSet<String>,
    adapters: Vec<(Parameter, Lora)>,
    /// Hash of the weights that the adapters belong to, and the parameters that have
    /// exactly their values.
    base: Option<(blake3::Hash, BTreeSet<String>)>,
}

/// Rows that replace those drawn.
#[derive(Debug)]
struct Rows {
    name: String,
    /// The row of the table that each row is, if it is one.
    from: Vec<Option<u32>>,
    table: Vec<f32>,
}

impl Init {
    /// What the model of `config` starts with; `tokenizer` is that of its data.
    ///
    /// # Errors
    ///
    /// What does not fit, patterns that nothing matches, weights that cannot be read.
    pub fn first(
        self,
        config: &RunConfig,
        tokenizer: Option<&Tokenizer>,
    ) -> Result<(First, Report)> {
        let old = self.source.description.tokenizer.as_ref();
        let tokens = old.zip(tokenizer).filter(|(old, new)| old != new);
        let plan = Plan::new(
            &self.table,
            &self.source,
            &config.model,
            unique(parameters(&config.model)?),
            tokens.is_some(),
        )?;
        let mut report = Report {
            from: self.path().display().to_string(),
            ignored: plan.ignored.clone(),
            ..Report::default()
        };
        let mut first = First::default();
        // What tables of positions are resampled between, if they are of grids.
        let grids = Grids::of(&self.source.description.config.model, &config.model);
        let mut kept = BTreeSet::new();
        let mut known = None;
        for (parameter, origin) in &plan.origins {
            let Parameter { name, shape } = parameter;
            match origin {
                Origin::New => report.new.push(name.clone()),
                Origin::Loaded => {
                    first.values.push(parameter.clone());
                    kept.insert(name.clone());
                    report.loaded += 1;
                }
                Origin::Resampled { from } => {
                    let grids = grids.filter(|_| name == "position.weight");
                    let table = resample(self.source.read(name)?, from, shape, grids)
                        .map_err(|error| self.misfit(name, &error))?;
                    first.resampled.push((parameter.clone(), table));
                    report
                        .adapted
                        .push(format!("{name}, {} to {} rows", from[0], shape[0]));
                }
                Origin::Rows => {
                    let from = known.get_or_insert_with(|| {
                        tokens.map_or_else(Vec::new, |(old, new)| vocabulary::known(old, new))
                    });
                    let both = from.iter().flatten().count();
                    report
                        .adapted
                        .push(format!("{name}, {both} of {} tokens known", shape[0]));
                    first.rows.push(Rows {
                        name: name.clone(),
                        from: from.clone(),
                        table: self.source.read(name)?,
                    });
                }
            }
        }
        self.choose_trained(&plan, config, &mut first)?;
        if !first.adapters.is_empty() {
            first.base = Some((self.source.fingerprint()?, kept));
        }
        let of_adapters: usize = first
            .adapters
            .iter()
            .map(|(p, lora)| p.shape.iter().sum::<usize>() * lora.rank())
            .sum();
        let counts = plan.counts();
        report.n_params = counts.values().sum::<usize>() + of_adapters;
        let frozen: usize = first
            .frozen
            .iter()
            .filter_map(|n| counts.get(n.as_str()))
            .sum();
        report.n_trained = report.n_params - frozen;
        first.source = Some(self.source);
        Ok((first, report))
    }

    fn misfit(&self, name: &str, error: &Error) -> Error {
        Error::Data(format!(
            "{}: `{name}` cannot become positions of another length: {error}; take another model, \
             or draw them with init.ignore = [\"{name}\"]",
            self.path().display()
        ))
    }

    /// Says which parameters stay as they are and which projections get adapters.
    fn choose_trained(&self, plan: &Plan, config: &RunConfig, first: &mut First) -> Result<()> {
        let table = &self.table;
        let names: Vec<&str> = plan.origins.iter().map(|(p, _)| p.name.as_str()).collect();
        for pattern in table.freeze() {
            let matched: Vec<&str> = (names.iter().copied())
                .filter(|name| pattern.matches(name))
                .collect();
            if matched.is_empty() {
                return nothing_like("freeze", pattern, &names);
            }
            first.frozen.extend(matched.into_iter().map(str::to_owned));
        }
        let known = |pattern: &Names| {
            let all = names.iter().copied();
            let mut all = all.chain(plan.ignored.iter().map(String::as_str));
            all.any(|name| pattern.matches(name))
        };
        if let Some(pattern) = table.ignore().iter().find(|pattern| !known(pattern)) {
            return nothing_like("ignore", pattern, &names);
        }
        for pattern in table.lr().keys() {
            if !names.iter().any(|name| pattern.matches(name)) {
                return nothing_like("lr", pattern, &names);
            }
        }
        if let Some(lora) = table.lora() {
            let modules = adaptable(&config.model)?;
            for pattern in lora.targets() {
                if !modules.iter().any(|module| pattern.matches(&module.name)) {
                    let names: Vec<&str> = modules.iter().map(|m| m.name.as_str()).collect();
                    return nothing_like("lora.targets", pattern, &names);
                }
            }
            let is_target =
                |module: &Parameter| lora.targets().iter().any(|t| t.matches(&module.name));
            let targets = modules.into_iter().filter(is_target);
            first.adapters = targets.map(|module| (module, lora.adapter())).collect();
            let taken = plan.origins.iter().filter(|(_, o)| *o != Origin::New);
            first.frozen.extend(taken.map(|(p, _)| p.name.clone()));
        } else if names.iter().all(|&name| first.frozen.contains(name)) {
            let path = self.path().display();
            return Err(Error::Data(format!(
                "init.freeze: keeps every parameter of {path} as it is, nothing is left to train; \
                 name fewer"
            )));
        }
        Ok(())
    }
}

/// A table of positions at another length or, for `grids`, from one grid to another.
fn resample(
    table: Vec<f32>,
    from: &[usize],
    to: &[usize],
    grids: Option<Grids>,
) -> Result<Vec<f32>> {
    let table = Tensor::from_vec(table, from, &Device::Cpu)?;
    let resampled = match grids {
        Some(Grids { leading, from, to }) => resample::bicubic(&table, leading, from, to),
        None => resample::linear(&table, to[0]),
    };
    let resampled = resampled.map_err(|error| Error::Data(error.to_string()))?;
    Ok(resampled.flatten_all()?.to_vec1()?)
}

/// Two grids of patches, with as many rows of a table before each.
#[derive(Debug, Clone, Copy)]
struct Grids {
    leading: usize,
    from: (usize, usize),
    to: (usize, usize),
}

impl Grids {
    /// Those of two models of images, or of patches of sound; none of others.
    fn of(from: &ModelConfig, to: &ModelConfig) -> Option<Self> {
        let (_, from) = grid(from)?;
        let (leading, to) = grid(to)?;
        Some(Self { leading, from, to })
    }
}

/// Rows before the patches of `model`, and the sides of their grid.
fn grid(model: &ModelConfig) -> Option<(usize, (usize, usize))> {
    if let Some(image) = model.image() {
        let grid = image.grid().ok()?;
        return Some((usize::from(grid.class_token), (grid.height, grid.width)));
    }
    let speech = model.speech()?;
    let grid = speech.patch_grid().ok().flatten()?;
    Some((speech.patches()?.class_tokens(), grid))
}

/// `parameters`, each once: a tied weight is asked for twice.
fn unique(parameters: Vec<Parameter>) -> Vec<Parameter> {
    let mut seen = BTreeSet::new();
    let mut parameters = parameters;
    parameters.retain(|parameter| seen.insert(parameter.name.clone()));
    parameters
}

fn nothing_like<T>(key: &str, pattern: &Names, names: &[&str]) -> Result<T> {
    let some = names.iter().take(3).copied().collect::<Vec<_>>().join(", ");
    Err(Error::Data(format!(
        "init.{key}: no name looks like `{pattern}`; there are {some}, …: `train explain` lists them"
    )))
}

impl First {
    /// A store that has what is known already; a model takes the rest from its seed.
    ///
    /// # Errors
    ///
    /// The device cannot hold the values.
    pub fn store(&self, seed: u64, device: &Device) -> Result<ParamStore> {
        let store = ParamStore::new(seed, DType::F32, device);
        let insert = |Parameter { name, shape }: &Parameter, values: Vec<f32>| -> Result<()> {
            let tensor = Tensor::from_vec(values, shape.as_slice(), &Device::Cpu)?;
            Ok(store.insert(name, &tensor)?)
        };
        // One tensor at a time: the store has a copy of its own.
        if let Some(source) = &self.source {
            for parameter in &self.values {
                insert(parameter, source.read(&parameter.name)?)?;
            }
        }
        for (parameter, values) in &self.resampled {
            insert(parameter, values.clone())?;
        }
        for (module, lora) in &self.adapters {
            store.adapt(&module.name, module.shape[1], module.shape[0], lora)?;
        }
        store.freeze(self.frozen.iter().cloned());
        Ok(store)
    }

    /// Puts the rows of known tokens into tables that were drawn; for a `store` whose model
    /// has been made.
    ///
    /// # Errors
    ///
    /// The device cannot hold the values.
    pub fn complete(&self, store: &ParamStore) -> Result<()> {
        for Rows { name, from, table } in &self.rows {
            let Some(var) = store.get(name) else { continue };
            let (_, d) = var.dims2()?;
            let mut values: Vec<f32> = var.flatten_all()?.to_vec1()?;
            for (row, from) in values.chunks_exact_mut(d).zip(from) {
                let old = from.and_then(|i| table.chunks_exact(d).nth(i as usize));
                if let Some(old) = old {
                    row.copy_from_slice(old);
                }
            }
            let values = Tensor::from_vec(values, var.shape(), &Device::Cpu)?;
            var.set(&values.to_device(var.device())?)?;
        }
        Ok(())
    }

    /// Hash of the weights that adapters belong to, if there are adapters.
    pub fn base(&self) -> Option<blake3::Hash> {
        self.base.as_ref().map(|(hash, _)| *hash)
    }

    /// Whether the parameter `name` must be stored with what is trained: it must, unless
    /// adapters are trained and it is exactly that of the model beside which they are.
    pub fn is_stored(&self, name: &str) -> bool {
        let kept = self.base.as_ref().map(|(_, kept)| kept);
        kept.is_none_or(|kept| !kept.contains(name))
    }
}
