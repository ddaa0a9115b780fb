//! What a step of training holds in memory.

use super::{kv_dim, n_params};
use crate::layers::LayersConfig;
use crate::{Activation, BlockMemory, ModelConfig};

/// Bytes of one `f32`.
const F32: u64 = 4;

/// Bytes that a training step holds, by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The weights.
    pub parameters: u64,
    /// One gradient a weight.
    pub gradients: u64,
    /// What the optimiser and a moving average remember of each weight.
    pub states: u64,
    /// What the forward pass keeps for the backward pass, and the gradients in flight.
    pub activations: u64,
}

impl Memory {
    /// All of it.
    pub fn total(self) -> u64 {
        [
            self.parameters,
            self.gradients,
            self.states,
            self.activations,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }
}

/// Estimates the memory of a training step over `n_tokens` packed tokens in `f32`.
///
/// `n_states` is how many numbers the optimiser keeps for each weight: two for AdamW,
/// one for momentum, one more for a moving average of the weights. Linear in `n_tokens`,
/// because attention keeps one number a row and head, not its weights.
pub fn training_memory(config: &ModelConfig, n_tokens: u64, n_states: u64) -> Memory {
    let parameters = F32.saturating_mul(n_params(config));
    Memory {
        parameters,
        gradients: parameters,
        states: parameters.saturating_mul(n_states),
        activations: F32
            .saturating_mul(n_tokens)
            .saturating_mul(activations_per_token(config)),
    }
}

/// Numbers kept of one token until the backward pass.
fn activations_per_token(config: &ModelConfig) -> u64 {
    let (d, d_ff) = (config.d_model() as u64, config.d_ff() as u64);
    // Rows of types are made and added; a norm keeps its input and two statistics.
    let types = match config.token_types() {
        Some(_) => d,
        None => 0,
    };
    let embed_norm = match config.embed_norm() {
        true => d + 2,
        false => 0,
    };
    let embedding = 2 * d + types + embed_norm;
    match LayersConfig::of(config) {
        Ok(LayersConfig::Recurrent(rnn)) => return rnn.n_activations() + embedding,
        Ok(LayersConfig::Convolutional(cnn)) => return cnn.n_activations() + embedding,
        Ok(LayersConfig::Attention) | Err(_) => {}
    }
    // Each layer's input and output; norms keep two statistics, attention its log-sum-exp.
    let norms = 2 * (d + 2);
    let attention = d + 2 * kv_dim(config) + d + config.n_heads() as u64;
    let inner = match config.activation() {
        Activation::Swiglu => 3 * d_ff,
        _ => 2 * d_ff,
    };
    let residuals = 2 * d;
    let block = norms + attention + inner + residuals;
    let n_layers = config.n_layers() as u64;
    let blocks = match config.memory() {
        BlockMemory::Keep => n_layers * block,
        // The inputs of all, and the one that is computed again.
        BlockMemory::Recompute => n_layers * d + block,
    };
    // The last norm; and the gradients of the widest block while it is passed.
    blocks + embedding + d + block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(keys: &str) -> ModelConfig {
        let table = "kind = 'text-lm'\nd_model = 384\nn_heads = 6\nvocab_size = 65\n\
                     max_seq_len = 256\n";
        toml::from_str(&format!("{table}{keys}")).unwrap()
    }

    #[test]
    fn memory_is_linear_in_the_tokens() {
        let config = config("n_layers = 6\nactivation = 'swiglu'");
        let of = |n_tokens| training_memory(&config, n_tokens, 2);
        assert_eq!(2 * of(1000).activations, of(2000).activations);
        assert_eq!(of(1).states, 2 * of(1).parameters);
        assert_eq!(of(1).parameters, 4 * n_params(&config));
        let Memory {
            parameters,
            gradients,
            states,
            activations,
        } = of(10);
        assert_eq!(
            of(10).total(),
            parameters + gradients + states + activations
        );
        assert_eq!(
            training_memory(&config, u64::MAX, u64::MAX).total(),
            u64::MAX
        );
    }

    #[test]
    fn what_an_embedding_adds_is_kept_of_every_token() {
        let of = |keys: &str| {
            let keys = format!("n_layers = 6\n{keys}");
            training_memory(&config(&keys), 10, 0).activations
        };
        assert_eq!(of("token_types = 2") - of(""), F32 * 10 * 384);
        assert_eq!(of("embed_norm = true") - of(""), F32 * 10 * (384 + 2));
        let gru = "backbone = 'gru'\n";
        let with_norm = of(&format!("{gru}embed_norm = true"));
        assert_eq!(with_norm - of(gru), F32 * 10 * (384 + 2));
    }

    #[test]
    fn what_is_computed_again_grows_with_the_depth_by_the_stream_alone() {
        let of = |n_layers: usize, memory: &str| {
            let keys = format!("n_layers = {n_layers}\nmemory = '{memory}'");
            training_memory(&config(&keys), 10, 0).activations
        };
        let stream = F32 * 10 * 384;
        assert_eq!(of(7, "recompute") - of(6, "recompute"), stream);
        assert_eq!(of(1, "recompute") - of(1, "keep"), stream);
        assert!(of(7, "keep") - of(6, "keep") > 10 * stream);
    }
}
