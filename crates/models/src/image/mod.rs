//! Models that read images.

mod classifier;
mod convolutional;
mod patches;
mod transformer;
mod window;

pub use classifier::ImageClassifier;
pub(crate) use convolutional::cnn_config;
pub use window::Window;
