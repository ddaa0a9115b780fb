//! First values that the configuration decides.

use candle_nn::Init;

use crate::ModelConfig;

/// First values of embeddings and heads.
pub(crate) fn first_weights(config: &ModelConfig) -> Init {
    Init::Randn {
        mean: 0.0,
        stdev: config.init_std(),
    }
}
