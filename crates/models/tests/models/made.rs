//! The models that the tests are about.

use std::error::Error;

use attn_core::{Mask, ParamStore};
use candle_core::{DType, Device, Result, Var};
use models::{DataSizes, Input, Model, ModelConfig};
use testkit::{rand_ids, randn};

pub(crate) type Outcome<T = ()> = std::result::Result<T, Box<dyn Error>>;

pub(crate) const VOCAB: usize = 11;
pub(crate) const CLASSES: usize = 3;
pub(crate) const LONGEST: usize = 8;

const LM: &str = "kind = 'text-lm'\nd_model = 16\nn_heads = 4\nn_layers = 2\n";
const CLASSIFIER: &str = "kind = 'text-classifier'\nd_model = 16\nn_heads = 4\nn_layers = 2\n";

/// What BERT has beside its sizes.
pub(crate) const BERT: &str = "norm_placement = 'post'\nactivation = 'gelu_erf'\nembed_norm = true\n\
                               token_types = 2\npooling = 'first'\npooler = true\ndropout = 0.25";

/// Keys that every kind of model has, one choice a line.
const CHOICES: [&str; 22] = [
    "",
    "position = 'none'",
    "position = 'sinusoidal'",
    "position = 'rotary'",
    "position = { rotary = { theta = 100.0 } }",
    "position = { rotary = { scaling = { kind = 'yarn', factor = 2.0, original_max_seq_len = 64 } } }",
    "position = 'alibi'",
    "n_kv_heads = 2",
    "n_kv_heads = 1\nqk_norm = true\nposition = 'rotary'",
    "norm = 'rms'",
    "norm_placement = 'post'",
    "activation = 'gelu_erf'",
    "activation = 'silu'",
    "activation = 'relu'",
    "activation = 'swiglu'",
    "bias = false",
    "norm = 'rms'\nactivation = 'swiglu'\nbias = false\nposition = 'rotary'\nn_kv_heads = 2",
    "embed_norm = true",
    "embed_norm = true\nnorm = 'rms'\nposition = 'rotary'",
    "token_types = 1",
    "token_types = 2\nembed_norm = true\nnorm_placement = 'post'",
    "token_types = 3\nembed_norm = true\nbias = false\nposition = 'sinusoidal'",
];

/// Every variant of a language model.
pub(crate) fn lms() -> Vec<ModelConfig> {
    let own = [
        "tied = false",
        "mask = { band = { left = 2, right = 0 } }",
        "backbone = 'gru'",
        "backbone = 'lstm'\nbias = false\nposition = 'learnt'",
        "backbone = 'gru'\nembed_norm = true\ntoken_types = 2",
    ];
    CHOICES
        .iter()
        .chain(&own)
        .map(|keys| config(LM, keys))
        .collect()
}

/// Every variant of a classifier.
pub(crate) fn classifiers() -> Vec<ModelConfig> {
    let own = [
        "pooling = 'first'",
        "pooling = 'last'",
        "mask = 'causal'",
        "mask = { band = { left = 2, right = 1 } }",
        "mask = { chunk = { size = 2, left = 1 } }",
        "backbone = 'gru'",
        "backbone = 'lstm'\nmask = 'causal'",
        "backbone = 'gru'\nbias = false\nposition = 'sinusoidal'",
        "backbone = 'gru'\nembed_norm = true\ntoken_types = 2\npooler = true",
        "pooler = true\nbias = false",
        BERT,
    ];
    CHOICES
        .iter()
        .chain(&own)
        .map(|keys| config(CLASSIFIER, keys))
        .collect()
}

/// Every variant of every kind.
pub(crate) fn all() -> Vec<ModelConfig> {
    lms().into_iter().chain(classifiers()).collect()
}

/// A language model with `keys`.
pub(crate) fn lm(keys: &str) -> ModelConfig {
    config(LM, keys)
}

/// A classifier with `keys`.
pub(crate) fn classifier(keys: &str) -> ModelConfig {
    config(CLASSIFIER, keys)
}

/// An encoder with `keys`.
pub(crate) fn encoder(keys: &str) -> ModelConfig {
    config(&CLASSIFIER.replace("classifier", "encoder"), keys)
}

/// `base` with `keys` added or replaced.
fn config(base: &str, keys: &str) -> ModelConfig {
    let read = |text: &str| text.parse::<toml::Table>().expect("valid TOML");
    let mut table = read(base);
    table.extend(read(keys));
    let config: ModelConfig = table.try_into().expect("a valid table");
    let sizes = DataSizes {
        seq_len: Some(LONGEST),
        vocab_size: Some(VOCAB),
        n_classes: Some(CLASSES),
        ..DataSizes::default()
    };
    config.resolve(sizes).expect("all sizes are there")
}

/// The model of `config` with weights of unit scale and biases that are not zero, so that
/// nothing it does is too small to see.
pub(crate) fn shaken(config: &ModelConfig) -> Result<(ParamStore, Model)> {
    let store = ParamStore::new(7, DType::F64, &Device::Cpu);
    let model = Model::build(config, store.var_builder())?;
    for (seed, (_, var)) in (100..).zip(store.named_vars()) {
        let noise = (randn(seed, var.shape())? * 0.3)?;
        var.set(&(var.as_tensor() + noise)?)?;
    }
    Ok((store, model))
}

/// Three sequences of 5, 1 and 7 tokens.
pub(crate) struct Batch {
    pub(crate) tokens: Vec<u32>,
    pub(crate) walls: Vec<u32>,
    pub(crate) targets: Vec<u32>,
}

impl Batch {
    pub(crate) fn of(config: &ModelConfig) -> Self {
        let tokens = rand_ids(1, 13, VOCAB as u32);
        let targets = match config.pooling() {
            None => rand_ids(2, 13, VOCAB as u32),
            Some(_) => vec![0, 2, 1],
        };
        Self {
            tokens,
            walls: vec![0, 5, 6, 13],
            targets,
        }
    }

    pub(crate) fn input(&self) -> Input {
        Input::Tokens(self.tokens.clone().into())
    }

    pub(crate) fn mask(&self, model: &Model) -> Mask {
        Mask::new(model.pattern().clone(), self.walls.clone()).expect("valid walls")
    }

    pub(crate) fn targets(&self) -> attn_core::Targets {
        self.targets.clone().into()
    }
}

/// The parameters whose names begin with one of `prefixes`.
pub(crate) fn chosen(store: &ParamStore, prefixes: &[&str]) -> Vec<(String, Var)> {
    let is_chosen = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
    store
        .named_vars()
        .into_iter()
        .filter(|(name, _)| is_chosen(name))
        .collect()
}
