//! The layers of a model with their shapes, found by building it without memory.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::{Init, VarBuilder, var_builder::SimpleBackend};
use models::{Model, ModelConfig};

use super::numbers::grouped;

/// A table of all parameters: name, shape, count. Blocks that are alike share their lines.
pub(super) fn table(config: &ModelConfig) -> Result<String> {
    let parameters = parameters(config)?;
    let total = parameters.iter().map(Parameter::count).sum();
    let mut text = row("layers", "shape", "parameters");
    let mut rest = parameters.as_slice();
    while let Some(first) = rest.first() {
        let Some((block, _)) = first.in_block() else {
            text.push_str(&row(
                &format!("  {}", first.name),
                &first.dims(),
                &grouped(first.count()),
            ));
            rest = &rest[1..];
            continue;
        };
        let members = block_of(rest, block);
        let alike = (0..)
            .take_while(|i| is_copy(&rest[i * members.len()..], members, block + i))
            .count();
        let (title, each) = match alike {
            1 => (format!("  blocks.{block}"), ""),
            _ => (
                format!("  blocks.{block} to blocks.{}", block + alike - 1),
                "each",
            ),
        };
        text.push_str(&row(
            &title,
            each,
            &grouped(members.iter().map(Parameter::count).sum()),
        ));
        for member in members {
            let name = member.in_block().map_or("", |(_, name)| name);
            text.push_str(&row(
                &format!("    {name}"),
                &member.dims(),
                &grouped(member.count()),
            ));
        }
        rest = &rest[alike * members.len()..];
    }
    text.push_str(&row("  together", "", &grouped(total)));
    Ok(text)
}

/// The parameters that `rest` starts with and that belong to block number `block`.
fn block_of(rest: &[Parameter], block: usize) -> &[Parameter] {
    let belongs = |parameter: &&Parameter| {
        parameter
            .in_block()
            .is_some_and(|(number, _)| number == block)
    };
    &rest[..rest.iter().take_while(belongs).count()]
}

/// Whether `rest` starts with block number `block`, and it is made like `members`.
fn is_copy(rest: &[Parameter], members: &[Parameter], block: usize) -> bool {
    let candidate = block_of(rest, block);
    let same = |(a, b): (&Parameter, &Parameter)| {
        a.shape == b.shape
            && a.in_block().map(|(_, name)| name) == b.in_block().map(|(_, name)| name)
    };
    !candidate.is_empty()
        && candidate.len() == members.len()
        && candidate.iter().zip(members).all(same)
}

/// `name   shape   count`, the count flush right at column 80.
fn row(name: &str, shape: &str, count: &str) -> String {
    format!("{name:<42}{shape:>20}{count:>18}\n")
}

struct Parameter {
    name: String,
    shape: Vec<usize>,
}

impl Parameter {
    fn count(&self) -> u64 {
        self.shape.iter().map(|&size| size as u64).product()
    }

    fn dims(&self) -> String {
        self.shape
            .iter()
            .map(usize::to_string)
            .collect::<Vec<_>>()
            .join(" × ")
    }

    /// Number of the block and name inside it: `blocks.3.attn.wq.weight` gives 3 and
    /// `attn.wq.weight`.
    fn in_block(&self) -> Option<(usize, &str)> {
        let (number, name) = self.name.strip_prefix("blocks.")?.split_once('.')?;
        Some((number.parse().ok()?, name))
    }
}

/// Every parameter of the model, in the order in which its layers ask for them.
fn parameters(config: &ModelConfig) -> Result<Vec<Parameter>> {
    let asked = Asked::default();
    let vb = VarBuilder::from_backend(Box::new(asked.clone()), DType::F32, Device::Cpu);
    Model::build(config, vb)?;
    let mut asked = asked.0.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut *asked))
}

/// A source of weights that notes what is asked for. What it hands out is one zero,
/// read again and again, so that a model too large for the machine can be looked at.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<Parameter>>>);

impl SimpleBackend for Asked {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.iter().all(|parameter| parameter.name != name) {
            asked.push(Parameter {
                name: name.into(),
                shape: shape.dims().into(),
            });
        }
        Tensor::zeros((), dtype, device)?.broadcast_as(shape)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        candle_core::bail!("the shape of `{name}` is not known")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}
