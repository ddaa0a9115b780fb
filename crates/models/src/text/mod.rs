//! Models that read text: [`CausalLm`] writes it on, [`TextClassifier`] sorts it,
//! [`TextEncoder`] makes a vector of it.

mod cache;
mod classifier;
mod embedding;
mod encoder;
mod lm;
mod pooled;
mod trunk;

pub use cache::Cache;
pub use classifier::TextClassifier;
pub use encoder::TextEncoder;
pub use lm::CausalLm;
