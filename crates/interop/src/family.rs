//! The families of models that are known.

use std::fmt;

/// A family of models of Hugging Face's transformers: one `model_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// BERT, and MiniLM, which is built alike: Devlin et al. 2018
    /// <https://arxiv.org/abs/1810.04805>.
    Bert,
    /// RoBERTa: Liu et al. 2019 <https://arxiv.org/abs/1907.11692>.
    Roberta,
    /// GPT-2: Radford et al. 2019.
    Gpt2,
    /// Llama 1 to 3: Touvron et al. 2023 <https://arxiv.org/abs/2302.13971>.
    Llama,
    /// The vision transformer: Dosovitskiy et al. 2020 <https://arxiv.org/abs/2010.11929>.
    Vit,
    /// The audio spectrogram transformer: Gong et al. 2021 <https://arxiv.org/abs/2104.01778>.
    Ast,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Bert,
        Self::Roberta,
        Self::Gpt2,
        Self::Llama,
        Self::Vit,
        Self::Ast,
    ];

    /// The value of `model_type` in its config.json.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::Roberta => "roberta",
            Self::Gpt2 => "gpt2",
            Self::Llama => "llama",
            Self::Vit => "vit",
            Self::Ast => "audio-spectrogram-transformer",
        }
    }
}

/// As papers write it.
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bert => "BERT",
            Self::Roberta => "RoBERTa",
            Self::Gpt2 => "GPT-2",
            Self::Llama => "Llama",
            Self::Vit => "ViT",
            Self::Ast => "AST",
        })
    }
}
