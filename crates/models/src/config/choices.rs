//! The keys of `[model]` that name one of a few things.

use std::fmt;

use kernels::Pool;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A causal language model: which token comes next?
    TextLm,
    /// A text classifier: which class does this text belong to?
    TextClassifier,
    /// Which vector stands for what this text means? Such a model has no head and is not
    /// trained.
    TextEncoder,
    /// Which class does this recording belong to?
    SpeechClassifier,
    /// Which class does each frame of this recording belong to?
    SpeechFrames,
    /// Which symbols does this recording spell?
    SpeechCtc,
    /// Which class does this image belong to?
    ImageClassifier,
    /// Which class does each node of this graph belong to?
    GraphNodes,
    /// Which class does this graph belong to?
    GraphClassifier,
    /// Which number belongs to this graph?
    GraphRegression,
    /// Which nodes of this graph are linked?
    GraphLinks,
}

/// What a model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Modality {
    /// Tokens.
    Text,
    /// Frames of sound.
    Speech,
    /// Images.
    Image,
    /// Nodes and edges.
    Graph,
}

/// What stands between embedding and head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backbone {
    /// Blocks of self-attention: Vaswani et al. 2017 <https://arxiv.org/abs/1706.03762>.
    #[default]
    Transformer,
    /// Convolutions over time or over the plane.
    Cnn,
    /// Gated recurrent units: Cho et al. 2014 <https://arxiv.org/abs/1406.1078>.
    Gru,
    /// Long short-term memory: Hochreiter & Schmidhuber 1997.
    Lstm,
    /// Graph convolutions: Kipf & Welling 2017 <https://arxiv.org/abs/1609.02907>.
    Gcn,
    /// Graph attention: Velickovic et al. 2018 <https://arxiv.org/abs/1710.10903>.
    Gat,
    /// Every position by itself.
    Mlp,
}

/// What bends the feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// GELU in its tanh form: Hendrycks & Gimpel 2016 <https://arxiv.org/abs/1606.08415>.
    #[default]
    Gelu,
    /// GELU in its exact form.
    GeluErf,
    /// `x · sigmoid(x)`
    Silu,
    /// `max(x, 0)`
    Relu,
    /// `silu(gate) ⊙ up`, three matrices: Shazeer 2020 <https://arxiv.org/abs/2002.05202>.
    Swiglu,
}

/// What of a segment the classifier reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The mean of its positions.
    #[default]
    Mean,
    /// The sum of its positions, which tells large samples from small ones.
    Sum,
    /// Its first position; where a recording has two class tokens, the mean of both.
    First,
    /// Its last position.
    Last,
}

impl From<Pooling> for Pool {
    fn from(pooling: Pooling) -> Self {
        match pooling {
            Pooling::Mean => Self::Mean,
            Pooling::Sum => Self::Sum,
            Pooling::First => Self::First,
            Pooling::Last => Self::Last,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TextLm => "text-lm",
            Self::TextClassifier => "text-classifier",
            Self::TextEncoder => "text-encoder",
            Self::SpeechClassifier => "speech-classifier",
            Self::SpeechFrames => "speech-frames",
            Self::SpeechCtc => "speech-ctc",
            Self::ImageClassifier => "image-classifier",
            Self::GraphNodes => "graph-nodes",
            Self::GraphClassifier => "graph-classifier",
            Self::GraphRegression => "graph-regression",
            Self::GraphLinks => "graph-links",
        })
    }
}

impl Kind {
    /// What models of this kind read.
    pub fn modality(self) -> Modality {
        match self {
            Self::TextLm | Self::TextClassifier | Self::TextEncoder => Modality::Text,
            Self::SpeechClassifier | Self::SpeechFrames | Self::SpeechCtc => Modality::Speech,
            Self::ImageClassifier => Modality::Image,
            Self::GraphNodes | Self::GraphClassifier | Self::GraphRegression | Self::GraphLinks => {
                Modality::Graph
            }
        }
    }

    /// Whether models of this kind choose among classes, or among symbols.
    pub fn has_classes(self) -> bool {
        !matches!(
            self,
            Self::TextLm | Self::TextEncoder | Self::GraphRegression | Self::GraphLinks
        )
    }

    /// Whether models of this kind make one vector of each sample.
    pub fn pools(self) -> bool {
        matches!(
            self,
            Self::TextClassifier
                | Self::TextEncoder
                | Self::SpeechClassifier
                | Self::ImageClassifier
                | Self::GraphClassifier
                | Self::GraphRegression
        )
    }
}

impl Kind {
    /// Whether models of this kind are trained and measured: all that have a head.
    pub fn has_loss(self) -> bool {
        self != Self::TextEncoder
    }

    /// Whether models of this kind may have a pooler between pooling and head.
    pub(super) fn may_have_pooler(self) -> bool {
        matches!(self, Self::TextClassifier | Self::TextEncoder)
    }
}

impl Backbone {
    /// Whether there is such a backbone for what `modality` reads.
    pub fn reads(self, modality: Modality) -> bool {
        match self {
            Self::Transformer => true,
            Self::Cnn => matches!(modality, Modality::Image | Modality::Speech),
            Self::Gru | Self::Lstm => matches!(modality, Modality::Text | Modality::Speech),
            Self::Gcn | Self::Gat | Self::Mlp => modality == Modality::Graph,
        }
    }
}

impl fmt::Display for Modality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Speech => "speech",
            Self::Image => "image",
            Self::Graph => "graph",
        })
    }
}

impl fmt::Display for Backbone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transformer => "transformer",
            Self::Cnn => "cnn",
            Self::Gru => "gru",
            Self::Lstm => "lstm",
            Self::Gcn => "gcn",
            Self::Gat => "gat",
            Self::Mlp => "mlp",
        })
    }
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mean => "mean",
            Self::Sum => "sum",
            Self::First => "first",
            Self::Last => "last",
        })
    }
}
