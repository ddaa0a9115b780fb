//! `eval.metric`: what "the best model" means.

use std::fmt;

use models::{Evaluation, Kind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is compared to find the best model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Mean loss, the lower the better.
    #[default]
    Loss,
    /// Share of right answers, the higher the better; where there are classes.
    Accuracy,
    /// Mean over the classes of the share answered right, the higher the better.
    BalancedAccuracy,
    /// Mean F1 score of the classes, the higher the better.
    MacroF1,
    /// Wrong symbols for each right one, the lower the better; of a speech-ctc.
    Cer,
    /// Wrong words for each right one, the lower the better; of a speech-ctc whose texts have
    /// spaces.
    Wer,
    /// Mean size of the error, the lower the better; of a graph-regression.
    Mae,
    /// Chance that a link ranks above a pair that is none, the higher the better; of a
    /// graph-links.
    RocAuc,
}

impl Metric {
    /// Whether models of `kind` are measured by it.
    pub fn applies_to(self, kind: Kind) -> bool {
        match self {
            Self::Loss => true,
            Self::Accuracy | Self::BalancedAccuracy | Self::MacroF1 => {
                kind.has_classes() && kind != Kind::SpeechCtc
            }
            Self::Cer | Self::Wer => kind == Kind::SpeechCtc,
            Self::Mae => kind == Kind::GraphRegression,
            Self::RocAuc => kind == Kind::GraphLinks,
        }
    }

    /// What `evaluation` says of it.
    pub fn of(self, evaluation: &Evaluation) -> Option<f64> {
        let scores = evaluation.scores();
        match self {
            Self::Loss => evaluation.loss(),
            Self::Accuracy => scores.accuracy,
            Self::BalancedAccuracy => scores.balanced_accuracy,
            Self::MacroF1 => scores.macro_f1,
            Self::Cer => scores.cer,
            Self::Wer => scores.wer,
            Self::Mae => scores.mae,
            Self::RocAuc => scores.roc_auc,
        }
    }

    /// Whether `new` is better than `old`.
    pub fn is_better(self, new: f64, old: f64) -> bool {
        match self {
            Self::Loss | Self::Cer | Self::Wer | Self::Mae => new < old,
            Self::Accuracy | Self::BalancedAccuracy | Self::MacroF1 | Self::RocAuc => new > old,
        }
    }
}

/// As it is written in TOML.
impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loss => "loss",
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy => "balanced_accuracy",
            Self::MacroF1 => "macro_f1",
            Self::Cer => "cer",
            Self::Wer => "wer",
            Self::Mae => "mae",
            Self::RocAuc => "roc_auc",
        })
    }
}
