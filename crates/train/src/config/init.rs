//! `[init]`: what a run starts from, and which part of it is trained.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use attn_core::Lora;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Names;
use super::check::{Invalid, positive, within};

/// What a run starts from, and which part of it is trained: the `[init]` table. With it,
/// keys of `[model]` that are not written are those of the model it starts from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawInit", into = "RawInit")]
#[schemars(with = "RawInit")]
pub struct InitTable {
    from: PathBuf,
    head: Head,
    ignore: Vec<Names>,
    freeze: Vec<Names>,
    layer_decay: Option<f64>,
    lr: BTreeMap<Names, f64>,
    lora: Option<LoraTable>,
}

/// Whether the head is that of the model to start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// It is: the same classes, or the same vocabulary.
    #[default]
    Keep,
    /// It is drawn anew, for other classes or another task.
    New,
}

/// Adapters beside weights that stay: LoRA, Hu et al. 2021
/// <https://arxiv.org/abs/2106.09685>.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoraTable {
    /// Numbers that the input of an adapter is narrowed to.
    #[serde(default = "default_rank")]
    #[schemars(range(min = 1, max = 4096))]
    rank: usize,
    /// What an adapter gives is multiplied by this, divided by `rank`.
    #[serde(default = "default_alpha")]
    alpha: f64,
    /// Share of the input of an adapter dropped in training.
    #[serde(default)]
    dropout: f64,
    /// Names of the projections that get one, without `.weight`: `*.wq`, `*.wk`, `*.wv`,
    /// `*.wo`, `*.up`, `*.gate`, `*.down`.
    #[serde(default = "default_targets")]
    targets: Vec<Names>,
}

fn default_rank() -> usize {
    8
}

fn default_alpha() -> f64 {
    16.0
}

fn default_targets() -> Vec<Names> {
    ["*.wq", "*.wv"]
        .map(|text| Names::try_from(text.to_owned()).expect("these are patterns"))
        .to_vec()
}

/// `[init]` as it is written.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "InitTable")]
struct RawInit {
    /// The model to start from: a model folder, a run folder, a .safetensors file, or a
    /// folder of the Hugging Face form.
    from: PathBuf,
    /// Whether the head is that of the model (`keep`) or drawn anew (`new`).
    #[serde(default)]
    head: Head,
    /// Tensors of the model that are not taken, and parameters that are drawn anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ignore: Vec<Names>,
    /// Parameters that are not trained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    freeze: Vec<Names>,
    /// Each block learns by this factor slower than the one behind it, what lies before the
    /// first block slowest (Clark et al. 2020 <https://arxiv.org/abs/2003.10555>).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layer_decay: Option<f64>,
    /// Learning rates of parameters by name, in place of `train.lr`; the longest pattern that
    /// has a name counts. They follow the same schedule.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    lr: BTreeMap<Names, f64>,
    /// Trains adapters and what is new, and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lora: Option<LoraTable>,
}

impl InitTable {
    /// The model to start from.
    pub fn from(&self) -> &Path {
        &self.from
    }

    /// Whether the head is that of the model.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Whether `name` is left out, as a tensor of the model to start from and as a parameter
    /// of the one to be trained.
    pub fn ignores(&self, name: &str) -> bool {
        let is_head = self.head == Head::New && is_head(name);
        is_head || self.ignore.iter().any(|names| names.matches(name))
    }

    /// Names that are left out beside a head that is drawn anew.
    pub fn ignore(&self) -> &[Names] {
        &self.ignore
    }

    /// Names of parameters that are not trained.
    pub fn freeze(&self) -> &[Names] {
        &self.freeze
    }

    /// By what factor a block learns slower than the one behind it.
    pub fn layer_decay(&self) -> Option<f64> {
        self.layer_decay
    }

    /// Learning rates by name.
    pub fn lr(&self) -> &BTreeMap<Names, f64> {
        &self.lr
    }

    /// Adapters, if these are trained.
    pub fn lora(&self) -> Option<&LoraTable> {
        self.lora.as_ref()
    }
}

/// Whether the parameter `name` belongs to the head: what turns hidden rows into answers.
pub fn is_head(name: &str) -> bool {
    name.starts_with("head.")
}

impl LoraTable {
    /// Sizes of an adapter.
    ///
    /// # Panics
    ///
    /// Never: the table was checked.
    pub fn adapter(&self) -> Lora {
        Lora::new(self.rank, self.alpha, self.dropout).expect("the table was checked")
    }

    /// Names of the projections that get an adapter.
    pub fn targets(&self) -> &[Names] {
        &self.targets
    }

    fn check(&self) -> Result<(), Invalid> {
        within("lora.rank", self.rank, 1..=4096)?;
        if self.targets.is_empty() {
            let message = "lora.targets is empty; name projections, such as [\"*.wq\", \"*.wv\"]";
            return Err(Invalid(message.into()));
        }
        Lora::new(self.rank, self.alpha, self.dropout)
            .map(drop)
            .map_err(|error| Invalid(format!("lora: {error}")))
    }
}

impl TryFrom<RawInit> for InitTable {
    type Error = Invalid;

    fn try_from(raw: RawInit) -> Result<Self, Invalid> {
        let RawInit {
            from,
            head,
            ignore,
            freeze,
            layer_decay,
            lr,
            lora,
        } = raw;
        if from.as_os_str().is_empty() {
            return Err(Invalid("from is empty; name a model folder".into()));
        }
        if let Some(decay) = layer_decay {
            positive("layer_decay", decay, 1.0)?;
        }
        for (names, &lr) in &lr {
            positive(&format!("lr.\"{names}\""), lr, 100.0)?;
        }
        if let Some(lora) = &lora {
            lora.check()?;
        }
        Ok(Self {
            from,
            head,
            ignore,
            freeze,
            layer_decay,
            lr,
            lora,
        })
    }
}

impl From<InitTable> for RawInit {
    fn from(table: InitTable) -> Self {
        let InitTable {
            from,
            head,
            ignore,
            freeze,
            layer_decay,
            lr,
            lora,
        } = table;
        Self {
            from,
            head,
            ignore,
            freeze,
            layer_decay,
            lr,
            lora,
        }
    }
}
