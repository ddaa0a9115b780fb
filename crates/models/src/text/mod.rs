//! Models that read text: [`CausalLm`] writes it on, [`TextClassifier`] sorts it.

mod cache;
mod classifier;
mod lm;
mod trunk;

pub use cache::Cache;
pub use classifier::TextClassifier;
pub use lm::CausalLm;
pub(crate) use trunk::first_weights;
