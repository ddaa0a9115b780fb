//! What a model needs: parameters, arithmetic, memory.
//!
//! Everything is counted from the configuration, before a model is made. Sizes that
//! are still left to the data count as 0; [`ModelConfig::resolve`] first.

mod memory;

use attn_core::Mask;

use crate::baseline::{Cnn2dConfig, Grid};
use crate::image::{Window, cnn_config};
use crate::layers::LayersConfig;
use crate::{
    Activation, Backbone, EncodingConfig, Front, Kind, ModelConfig, NormKind, NormOrder, Parameter,
    parameters,
};

pub use memory::{Memory, training_memory};

/// Numbers that the model learns.
pub fn n_params(config: &ModelConfig) -> u64 {
    if let Some(parameters) = of_graphs(config) {
        return parameters.iter().map(Parameter::count).sum();
    }
    let d = config.d_model() as u64;
    let vocab = size(config.vocab_size().ok());
    let grid = config.image().and_then(|image| image.grid().ok());
    let positions = match (config.position(), grid) {
        (EncodingConfig::Learnt, _) => size(config.max_seq_len().ok()),
        (EncodingConfig::Learnt2d, Some(grid)) => {
            (grid.height + grid.width + 2 * usize::from(grid.class_token)) as u64
        }
        _ => 0,
    };
    let patches = match config.image() {
        Some(image) if config.backbone() == Backbone::Transformer => {
            let class_token = if image.class_token() { d } else { 0 };
            let kinds = window(config).map_or(0, |window| window.n_kinds());
            let bias = (config.n_heads() * kinds) as u64;
            linear_params(config, size(image.patch_values().ok()), d) + class_token + bias
        }
        _ => 0,
    };
    let head = match config.n_classes().ok().flatten() {
        // The last row of a recogniser of speech is for the blank.
        Some(n_classes) if config.kind() == Kind::SpeechCtc => {
            linear_params(config, d, n_classes as u64 + 1)
        }
        Some(n_classes) => linear_params(config, d, n_classes as u64),
        None if config.tied() || config.pooling().is_some() => 0,
        None => vocab * d,
    };
    let front = front_params(config) + speech_params(config) + text_params(config);
    front + (vocab + positions) * d + patches + layers_params(config) + head
}

/// Multiply-adds of one token in the matrices of all blocks and of a language model's
/// head: their number of elements. Look-ups and norms are not matrix products.
pub fn n_matrix_params(config: &ModelConfig) -> u64 {
    if let Some(parameters) = of_graphs(config) {
        let matrices = parameters.iter().filter(|p| p.shape.len() > 1);
        return matrices.map(Parameter::count).sum();
    }
    let d = config.d_model() as u64;
    let head = match config.pooling() {
        None => size(config.vocab_size().ok()) * d,
        Some(_) => 0,
    };
    if let Some((cnn, grid)) = image_cnn(config) {
        // An image counts as so many rows as it has patches.
        return cnn.n_multiplications(grid) / size(config.max_seq_len().ok()).max(1);
    }
    let layers = match LayersConfig::of(config) {
        Ok(LayersConfig::Recurrent(rnn)) => rnn.n_matrix_params(),
        Ok(LayersConfig::Convolutional(cnn)) => cnn.n_matrix_params(),
        Ok(LayersConfig::Attention) | Err(_) => config.n_layers() as u64 * block_matrices(config),
    };
    let patches = match config.image() {
        Some(image) => size(image.patch_values().ok()) * d,
        None => 0,
    };
    layers + head + patches + front_matrix(config)
}

/// Multiply-adds of one position in the maps from frames to positions, of a model that reads
/// sound.
fn front_matrix(config: &ModelConfig) -> u64 {
    let [first, second] = front_maps(config);
    match second {
        0 => first,
        // Of the first there are two for each of the second.
        _ => 2 * first + second,
    }
}

fn front_params(config: &ModelConfig) -> u64 {
    let maps = front_maps(config);
    let n_biases = match config.bias() {
        true => maps.iter().filter(|&&map| map > 0).count() as u64,
        false => 0,
    };
    maps.iter().sum::<u64>() + n_biases * config.d_model() as u64
}

/// Elements of the maps from frames to positions; 0 for one that is not there.
fn front_maps(config: &ModelConfig) -> [u64; 2] {
    let d = config.d_model() as u64;
    let Some(speech) = config.speech() else {
        return [0, 0];
    };
    let n_features = size(speech.n_features().ok());
    match speech.front() {
        Front::Windows => [speech.window() as u64 * n_features * d, 0],
        Front::Convolutions => [3 * n_features * d, 3 * d * d],
        Front::Patches => [(speech.window() * speech.window()) as u64 * d, 0],
    }
}

/// Class tokens before patches of a spectrogram, and the norm of a head.
fn speech_params(config: &ModelConfig) -> u64 {
    let Some(speech) = config.speech() else {
        return 0;
    };
    let patches = speech.patches();
    let n_tokens = patches.map_or(0, |patches| patches.class_tokens() as u64);
    let norm = match speech.head_norm() {
        true => norm_params(config),
        false => 0,
    };
    n_tokens * config.d_model() as u64 + norm
}

/// Between the tables of tokens and positions and the first block, and between pooling and
/// head, of a model that reads text.
fn text_params(config: &ModelConfig) -> u64 {
    let d = config.d_model() as u64;
    let norm = match config.embed_norm() {
        true => norm_params(config),
        false => 0,
    };
    let pooler = match config.pooler() {
        true => linear_params(config, d, d),
        false => 0,
    };
    size(config.token_types()) * d + norm + pooler
}

/// The parameters of a model of graphs, whose backbones have little in common; `None` of
/// other models, and before its sizes are known.
fn of_graphs(config: &ModelConfig) -> Option<Vec<Parameter>> {
    let n_features = config.graph()?.n_features();
    n_features.ok().and_then(|_| parameters(config).ok())
}

/// Floating-point operations of one training step over `n_tokens` packed tokens,
/// in which queries read keys `n_pairs` times in all ([`n_pairs`]).
///
/// `6 · n_matrix_params · n_tokens + 12 · n_layers · d_model · n_pairs`: a multiply-add
/// is two operations, and the backward pass costs twice the forward pass, because each
/// product has two gradients (Kaplan et al. 2020, §2.1
/// <https://arxiv.org/abs/2001.08361>; Chowdhery et al. 2022, appendix B). What a
/// kernel computes again in the backward pass does not count, so that figures of
/// different programs compare.
pub fn step_flops(config: &ModelConfig, n_tokens: u64, n_pairs: u64) -> f64 {
    3.0 * forward_flops(config, n_tokens, n_pairs)
}

/// Floating-point operations of one forward pass: a third of [`step_flops`].
pub fn forward_flops(config: &ModelConfig, n_tokens: u64, n_pairs: u64) -> f64 {
    let matrices = n_matrix_params(config) as f64 * n_tokens as f64;
    let attention = match LayersConfig::of(config) {
        Ok(LayersConfig::Recurrent(_) | LayersConfig::Convolutional(_)) => 0.0,
        Ok(LayersConfig::Attention) | Err(_) => {
            config.n_layers() as f64 * config.d_model() as f64 * n_pairs as f64
        }
    };
    2.0 * matrices + 4.0 * attention
}

/// The window of the patches of `config`, if it has one and its sizes are known.
pub fn window(config: &ModelConfig) -> Option<Window> {
    Window::of(config.image()?).ok().flatten()
}

/// The mask over the rows that attend to each other, where `mask` is that of a batch:
/// patches where a batch has pixels.
///
/// # Errors
///
/// A pattern that cannot be laid over other rows, and sizes that are left to the data.
pub fn attention_mask(config: &ModelConfig, mask: &Mask) -> candle_core::Result<Mask> {
    if let Some(speech) = config.speech() {
        let walls = mask.cu_seqlens().windows(2);
        let lens = walls.map(|wall| speech.n_positions((wall[1] - wall[0]) as usize));
        return mask.with_lens(lens).map_err(candle_core::Error::wrap);
    }
    if config.image().is_none() {
        return Ok(mask.clone());
    }
    if let Some(window) = window(config) {
        return window.mask(mask.n_sequences());
    }
    let rows = config.max_seq_len().map_err(candle_core::Error::wrap)?;
    let n_segments = mask.cu_seqlens().len() - 1;
    mask.with_lens(std::iter::repeat_n(rows, n_segments))
        .map_err(candle_core::Error::wrap)
}

/// How many (query, key) pairs `mask` allows.
pub fn n_pairs(mask: &Mask) -> u64 {
    let row = |i| match mask.span(i) {
        Some(keys) => keys.len() as u64,
        None => 0,
    };
    match mask.pattern() {
        attn_core::Pattern::Edges(edges) => edges.n_edges() as u64,
        _ => (0..mask.n_queries()).map(row).sum(),
    }
}

/// Between embedding and head.
fn layers_params(config: &ModelConfig) -> u64 {
    if let Some((cnn, _)) = image_cnn(config) {
        return cnn.n_params();
    }
    match LayersConfig::of(config) {
        Ok(LayersConfig::Recurrent(rnn)) => return rnn.n_params(),
        Ok(LayersConfig::Convolutional(cnn)) => return cnn.n_params(),
        Ok(LayersConfig::Attention) | Err(_) => {}
    }
    let final_norm = match config.norm_placement() {
        NormOrder::Pre => norm_params(config),
        NormOrder::Post => 0,
    };
    config.n_layers() as u64 * block_params(config) + final_norm
}

/// The convolutions of a model of images, and the pixels that they read.
fn image_cnn(config: &ModelConfig) -> Option<(Cnn2dConfig, Grid)> {
    let image = config
        .image()
        .filter(|_| config.backbone() == Backbone::Cnn)?;
    let shape = image.shape().ok()?;
    let grid = Grid {
        height: shape.height,
        width: shape.width,
    };
    Some((cnn_config(config, image).ok()?, grid))
}

fn block_params(config: &ModelConfig) -> u64 {
    let (d, d_ff) = (config.d_model() as u64, config.d_ff() as u64);
    let biases = match (config.bias(), config.activation()) {
        (false, _) => 0,
        (true, Activation::Swiglu) => 2 * d + 2 * kv_dim(config) + 2 * d_ff + d,
        (true, _) => 2 * d + 2 * kv_dim(config) + d_ff + d,
    };
    let qk_norms = match config.qk_norm() {
        true => 2 * config.head_dim() as u64,
        false => 0,
    };
    block_matrices(config) + biases + qk_norms + 2 * norm_params(config)
}

/// `wq`, `wo`; `wk`, `wv`; `up`, `down` and, for SwiGLU, `gate`
fn block_matrices(config: &ModelConfig) -> u64 {
    let (d, d_ff) = (config.d_model() as u64, config.d_ff() as u64);
    let n_wide = match config.activation() {
        Activation::Swiglu => 3,
        _ => 2,
    };
    2 * d * d + 2 * d * kv_dim(config) + n_wide * d * d_ff
}

fn norm_params(config: &ModelConfig) -> u64 {
    let d = config.d_model() as u64;
    match (config.norm(), config.bias()) {
        (NormKind::Layer, true) => 2 * d,
        (NormKind::Layer, false) | (NormKind::Rms, _) => d,
    }
}

fn linear_params(config: &ModelConfig, d_in: u64, d_out: u64) -> u64 {
    d_in * d_out + if config.bias() { d_out } else { 0 }
}

fn kv_dim(config: &ModelConfig) -> u64 {
    (config.n_kv_heads() * config.head_dim()) as u64
}

fn size(resolved: Option<usize>) -> u64 {
    resolved.unwrap_or(0) as u64
}

#[cfg(test)]
mod tests {
    use attn_core::Pattern;

    use super::*;

    fn config(keys: &str) -> ModelConfig {
        let table = "kind = 'text-lm'\nd_model = 384\nn_heads = 6\nn_layers = 6\nbias = false\n\
                     vocab_size = 65\nmax_seq_len = 256\n";
        toml::from_str(&format!("{table}{keys}")).unwrap()
    }

    /// nanoGPT prints 10.65 M for this setting, without the positions, and counts the
    /// operations of a token as `6 N + 12 L H Q T`, for a full square of scores.
    #[test]
    fn the_figures_are_those_of_nanogpt() {
        let config = config("");
        let without_positions = n_params(&config) - 256 * 384;
        assert_eq!(without_positions, 10_646_784);
        let square = Mask::single(Pattern::Full, 256).unwrap();
        let flops = step_flops(&config, 256, n_pairs(&square)) / 256.0;
        // It counts the norms as matrices as well.
        let norms = 13.0 * 384.0;
        assert_eq!(
            flops + 6.0 * norms,
            6.0 * 10_646_784.0 + 12.0 * 6.0 * 384.0 * 256.0
        );
        assert_eq!(
            forward_flops(&config, 256, 0) * 3.0,
            step_flops(&config, 256, 0)
        );
    }

    #[test]
    fn pairs_are_those_that_the_mask_allows() {
        let walls = [0, 5, 5, 12];
        for pattern in [
            Pattern::Full,
            Pattern::Causal,
            Pattern::Band { left: 2, right: 1 },
            Pattern::Chunk { size: 3, left: 1 },
        ] {
            let mask = Mask::new(pattern, walls).unwrap();
            let all = (0..12).flat_map(|i| (0..12).map(move |j| (i, j)));
            let allowed = all.filter(|&(i, j)| mask.allows(i, j)).count();
            assert_eq!(n_pairs(&mask), allowed as u64, "{}", mask.pattern());
        }
    }
}
