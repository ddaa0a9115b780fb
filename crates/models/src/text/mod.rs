//! Models that read text: [`CausalLm`] writes it on, [`TextClassifier`] sorts it.

mod classifier;
mod lm;
mod trunk;

pub use classifier::TextClassifier;
pub use lm::CausalLm;
