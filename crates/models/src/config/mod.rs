//! The `[model]` table.

mod beside;
mod check;
mod choices;
mod error;
mod graph;
mod image;
mod mask;
mod patches;
mod raw;
mod speech;
#[cfg(test)]
mod tests;

use attn_core::input::ImageShape;
use encodings::EncodingConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use attn_core::{BlockMemory, NormKind, NormOrder};
use check::filled;
pub use choices::{Activation, Backbone, Kind, Modality, Pooling};
pub use error::ConfigError;
pub use graph::GraphConfig;
pub use image::ImageConfig;
pub use mask::MaskConfig;
pub use patches::PatchConfig;
use raw::RawModel;
pub use speech::{Front, SpeechConfig};

/// What a model is: its kind, sizes and layers.
///
/// Valid by construction: `n_heads` divides `d_model`, `n_kv_heads` divides `n_heads`,
/// sizes are positive and within reason, rates are in `[0, 1)`, a language model does not
/// read ahead, and no key is set that the kind has no use for. Defaults are filled in,
/// but for the sizes that the data decide: see [`ModelConfig::resolve`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawModel", into = "RawModel")]
pub struct ModelConfig {
    kind: Kind,
    backbone: Backbone,
    d_model: usize,
    n_heads: usize,
    n_kv_heads: usize,
    n_layers: usize,
    d_ff: usize,
    dropout: f64,
    attention_dropout: f64,
    mask: MaskConfig,
    position: EncodingConfig,
    norm: NormKind,
    norm_placement: NormOrder,
    norm_eps: f64,
    activation: Activation,
    bias: bool,
    qk_norm: bool,
    memory: BlockMemory,
    init_std: f64,
    max_seq_len: Option<usize>,
    vocab_size: Option<usize>,
    tied: bool,
    embed_norm: bool,
    token_types: Option<usize>,
    pooling: Option<Pooling>,
    pooler: bool,
    n_classes: Option<usize>,
    particular: Particular,
}

/// What only models of one modality have.
#[derive(Debug, Clone, PartialEq)]
enum Particular {
    Text,
    Speech(SpeechConfig),
    Image(ImageConfig),
    Graph(GraphConfig),
}

/// The sizes that data decide, as far as they are known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DataSizes {
    /// Most rows of one sequence.
    pub seq_len: Option<usize>,
    /// Tokens that the tokenizer knows.
    pub vocab_size: Option<usize>,
    /// Classes, or symbols; `None` where there are none.
    pub n_classes: Option<usize>,
    /// Number of the symbol that stands between words; `None` where there are no words.
    pub word_separator: Option<usize>,
    /// Numbers a frame or a node.
    pub n_features: Option<usize>,
    /// Sizes of every image.
    pub image: Option<ImageShape>,
    /// Mean of each channel of the training images.
    pub pixel_mean: Option<Vec<f64>>,
    /// Standard deviation of each channel of the training images.
    pub pixel_std: Option<Vec<f64>>,
    /// Numbers an edge; `None` for none.
    pub n_edge_features: Option<usize>,
    /// Numbers that tell a node its place in the graph; `None` for none.
    pub n_structure: Option<usize>,
    /// Mean and standard deviation of the numbers to be learnt.
    pub scale: Option<(f64, f64)>,
}

impl ModelConfig {
    /// Fills in the sizes that the table leaves to the data.
    ///
    /// A model loaded from a file has them all, and needs no data: pass
    /// `DataSizes::default()`.
    ///
    /// # Errors
    ///
    /// A size that is neither in the table nor in `data`, or too small for the data.
    pub fn resolve(&self, data: DataSizes) -> Result<Self, ConfigError> {
        let image = match &self.particular {
            Particular::Image(image) => Some(image.resolve(&data)?),
            _ => None,
        };
        let speech = match &self.particular {
            Particular::Speech(speech) => Some(speech.resolve(&data)?),
            _ => None,
        };
        let of_patches = speech.as_ref().map(SpeechConfig::n_rows).transpose()?;
        let rows = match (&image, of_patches.flatten()) {
            (Some(image), _) => Some(image.grid()?.len()),
            (None, Some(n_rows)) => Some(n_rows),
            (None, None) => data.seq_len,
        };
        let max_seq_len = match self.kind.modality() {
            // A graph has as many nodes as it has.
            Modality::Graph => self.max_seq_len,
            _ => Some(filled("max_seq_len", self.max_seq_len, rows)?),
        };
        let vocab_size = match self.kind.modality() {
            Modality::Text => Some(filled("vocab_size", self.vocab_size, data.vocab_size)?),
            _ => None,
        };
        let n_classes = match self.kind.has_classes() {
            true => Some(filled("n_classes", self.n_classes, data.n_classes)?),
            false => None,
        };
        let mut raw = RawModel {
            max_seq_len,
            vocab_size,
            n_classes,
            ..RawModel::from(self.clone())
        };
        match &self.particular {
            Particular::Text => {}
            Particular::Speech(_) => raw.speech = speech,
            Particular::Image(_) => raw.image = image,
            Particular::Graph(graph) => raw.graph = Some(graph.resolve(&data)?),
        }
        Self::try_from(raw)
    }

    /// The same model with another mask, which is not checked.
    pub(crate) fn with_mask(&self, mask: MaskConfig) -> Self {
        Self {
            mask,
            ..self.clone()
        }
    }

    /// What the model is for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What stands between embedding and head.
    pub fn backbone(&self) -> Backbone {
        self.backbone
    }

    /// What only models of sound have; `None` for other models.
    pub fn speech(&self) -> Option<&SpeechConfig> {
        match &self.particular {
            Particular::Speech(speech) => Some(speech),
            _ => None,
        }
    }

    /// What only models of images have; `None` for other models.
    pub fn image(&self) -> Option<&ImageConfig> {
        match &self.particular {
            Particular::Image(image) => Some(image),
            _ => None,
        }
    }

    /// What only models of graphs have; `None` for other models.
    pub fn graph(&self) -> Option<&GraphConfig> {
        match &self.particular {
            Particular::Graph(graph) => Some(graph),
            _ => None,
        }
    }

    /// Width of the residual stream.
    pub fn d_model(&self) -> usize {
        self.d_model
    }

    /// Query heads.
    pub fn n_heads(&self) -> usize {
        self.n_heads
    }

    /// Key and value heads.
    pub fn n_kv_heads(&self) -> usize {
        self.n_kv_heads
    }

    /// Channels of one head.
    pub fn head_dim(&self) -> usize {
        self.d_model / self.n_heads
    }

    /// Blocks.
    pub fn n_layers(&self) -> usize {
        self.n_layers
    }

    /// Inner width of the feed-forward layer.
    pub fn d_ff(&self) -> usize {
        self.d_ff
    }

    /// Share of elements dropped after the embedding and after each layer.
    pub fn dropout(&self) -> f64 {
        self.dropout
    }

    /// Share of attention weights dropped.
    pub fn attention_dropout(&self) -> f64 {
        self.attention_dropout
    }

    /// What a position may read.
    pub fn mask(&self) -> MaskConfig {
        self.mask
    }

    /// How the model is told where in its sequence a token stands.
    pub fn position(&self) -> EncodingConfig {
        self.position
    }

    /// Which statistics a norm removes.
    pub fn norm(&self) -> NormKind {
        self.norm
    }

    /// Where the norms of a block stand.
    pub fn norm_placement(&self) -> NormOrder {
        self.norm_placement
    }

    /// Added to the variance or mean square of a norm.
    pub fn norm_eps(&self) -> f64 {
        self.norm_eps
    }

    /// What bends the feed-forward layer.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Whether linear maps and layer norms add a bias.
    pub fn bias(&self) -> bool {
        self.bias
    }

    /// Whether queries and keys are normalised, head by head.
    pub fn qk_norm(&self) -> bool {
        self.qk_norm
    }

    /// What training keeps of a block of attention for the backward pass.
    pub fn memory(&self) -> BlockMemory {
        self.memory
    }

    /// Standard deviation of the first weights.
    pub fn init_std(&self) -> f64 {
        self.init_std
    }

    /// Longest sequence, in tokens.
    ///
    /// # Errors
    ///
    /// If the table leaves it to the data and [`ModelConfig::resolve`] was not called.
    pub fn max_seq_len(&self) -> Result<usize, ConfigError> {
        self.max_seq_len
            .ok_or(ConfigError::Unresolved { key: "max_seq_len" })
    }

    /// Tokens there are.
    ///
    /// # Errors
    ///
    /// As [`ModelConfig::max_seq_len`].
    pub fn vocab_size(&self) -> Result<usize, ConfigError> {
        self.vocab_size
            .ok_or(ConfigError::Unresolved { key: "vocab_size" })
    }

    /// Classes there are; `None` for a model that chooses among none.
    ///
    /// # Errors
    ///
    /// As [`ModelConfig::max_seq_len`].
    pub fn n_classes(&self) -> Result<Option<usize>, ConfigError> {
        match (self.kind.has_classes(), self.n_classes) {
            (true, None) => Err(ConfigError::Unresolved { key: "n_classes" }),
            (_, n_classes) => Ok(n_classes),
        }
    }

    /// Whether the head of a language model is its embedding table.
    pub fn tied(&self) -> bool {
        self.tied
    }

    /// Whether the embeddings of a text are normalised before the first block.
    pub fn embed_norm(&self) -> bool {
        self.embed_norm
    }

    /// Rows of the table of token types, of which the first is added to every position;
    /// `None` without such a table.
    pub fn token_types(&self) -> Option<usize> {
        self.token_types
    }

    /// Whether a linear map and a tanh stand between pooling and head.
    pub fn pooler(&self) -> bool {
        self.pooler
    }

    /// What of a sample the head reads; `None` for a model that answers row by row.
    pub fn pooling(&self) -> Option<Pooling> {
        self.pooling
    }
}
