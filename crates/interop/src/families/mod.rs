//! One file a family: its table of names, and what each key of its config.json is to us.

pub(crate) mod ast;
pub(crate) mod bert;
mod encoder;
pub(crate) mod gpt2;
pub(crate) mod llama;
pub(crate) mod preprocessor;
pub(crate) mod roberta;
pub(crate) mod rope;
pub(crate) mod sound;
pub(crate) mod vit;

use models::{Activation, ConfigError};
use serde_json::Value;

use crate::form::Form;
use crate::keys::Keys;
use crate::{Error, Family};

/// Widest residual stream; these are the limits of `[model]`, so that a refusal names the
/// key of config.json.
const MAX_D_MODEL: usize = 1 << 16;
/// Most heads.
const MAX_HEADS: usize = 1 << 10;
/// Deepest stack.
const MAX_LAYERS: usize = 1 << 10;
/// Widest feed-forward layer.
const MAX_D_FF: usize = 1 << 18;
/// Largest vocabulary.
const MAX_VOCAB: usize = 1 << 24;
/// Longest sequence.
const MAX_ROWS: usize = 1 << 24;

/// The table of a family.
pub(crate) fn form(family: Family) -> &'static Form {
    match family {
        Family::Bert => &bert::FORM,
        Family::Roberta => &roberta::FORM,
        Family::Gpt2 => &gpt2::FORM,
        Family::Llama => &llama::FORM,
        Family::Vit => &vit::FORM,
        Family::Ast => &ast::FORM,
    }
}

/// Names of non-linearities that are pointwise, theirs and ours. The first of ours is
/// written.
const GELUS: &[(&str, Activation)] = &[
    ("gelu", Activation::GeluErf),
    ("gelu_python", Activation::GeluErf),
    ("gelu_new", Activation::Gelu),
    ("gelu_pytorch_tanh", Activation::Gelu),
    ("gelu_fast", Activation::Gelu),
    ("relu", Activation::Relu),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
];

/// Reads the name of a non-linearity.
fn activation(
    keys: &Keys,
    key: &str,
    default: &str,
    names: &[(&str, Activation)],
) -> Result<Activation, Error> {
    let name = keys.text(key)?.unwrap_or(default);
    match names.iter().find(|(theirs, _)| *theirs == name) {
        Some(&(_, ours)) => Ok(ours),
        None => {
            let known: Vec<_> = names
                .iter()
                .map(|(name, _)| format!("\"{name}\""))
                .collect();
            let remedy = format!("use a model with one of {}", known.join(", "));
            Err(keys.unsupported(key, &remedy))
        }
    }
}

/// Their name of a pointwise non-linearity of ours; families refuse SwiGLU before.
fn their_activation(activation: Activation) -> &'static str {
    let found = GELUS.iter().find(|(_, ours)| *ours == activation);
    found.map_or("silu", |(theirs, _)| theirs)
}

/// Refuses heads of unequal width.
fn heads_divide(
    keys: &Keys,
    (_, d_model): (&str, usize),
    (key, n_heads): (&str, usize),
) -> Result<(), Error> {
    match d_model.is_multiple_of(n_heads) {
        true => Ok(()),
        false => Err(keys.not(key, &format!("a divisor of the width, {d_model}"))),
    }
}

/// One side of a square, or both of a list, the height first.
fn sides(keys: &Keys, key: &'static str, most: usize) -> Result<(usize, usize), Error> {
    if !matches!(keys.get(key), Some(Value::Array(_))) {
        let side = keys.size(key, 1..=most)?;
        return Ok((side, side));
    }
    match keys.numbers(key)?.as_deref() {
        Some(&[height, width]) if [height, width].iter().all(|&side| whole(side, most)) => {
            Ok((height as usize, width as usize))
        }
        _ => Err(keys.not(key, &format!("two whole numbers from 1 to {most}"))),
    }
}

fn whole(side: f64, most: usize) -> bool {
    side.fract() == 0.0 && side >= 1.0 && side <= most as f64
}

/// `initializer_range`, which only new weights read.
fn init_std(keys: &Keys) -> Result<f64, Error> {
    Ok(match keys.number("initializer_range")? {
        Some(std) if std > 0.0 && std <= 10.0 => std,
        _ => 0.02,
    })
}

/// A size that a resolved model has.
pub(crate) fn known<T>(size: Result<T, ConfigError>) -> Result<T, Error> {
    size.map_err(|error| Error::Unresolved(error.to_string()))
}
