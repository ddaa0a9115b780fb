//! Transformer models: what a `[model]` table describes.
//!
//! - [`ModelConfig`] is that table, valid by construction; [`Model::build`] makes the
//!   model of it.
//! - [`text`] and [`image`] have the models that read text and images; each can be made
//!   and called by itself.
//! - [`Layers`] is what stands between embedding and head, [`baseline`] what attention is
//!   compared with.
//! - [`ctc_decode`] turns the symbols of frames into labels, and [`edit_distance`] says how
//!   wrong they are.
//! - [`speech`] has the models that read sound.
//! - [`cost`] counts what a model needs before it is made.
//!
//! ```
//! use attn_core::{Mask, ParamStore, Pass};
//! use candle_core::{DType, Device};
//! use models::{DataSizes, Input, LossOptions, Model, ModelConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let table = "kind = 'text-lm'\nd_model = 16\nn_heads = 2\nn_layers = 1";
//! let config: ModelConfig = toml::from_str(table)?;
//! let sizes = DataSizes { seq_len: Some(8), vocab_size: Some(5), ..DataSizes::default() };
//! let store = ParamStore::new(1337, DType::F32, &Device::Cpu);
//! let model = Model::build(&config.resolve(sizes)?, store.var_builder())?;
//!
//! let tokens = Input::Tokens([0, 1, 2, 3].into());
//! let mask = Mask::single(model.pattern().clone(), 4)?;
//! let targets = vec![1, 2, 3, 4].into();
//! let loss = model.loss(&tokens, &mask, &targets, LossOptions::default(), Pass::eval())?;
//! loss.backward()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Names of parameters
//!
//! They are a file format; `i` counts blocks from 0.
//!
//! | name | shape | there if |
//! | --- | --- | --- |
//! | `embed.weight` | `[vocab_size, d_model]` | text |
//! | `embed.weight` | `[d_model, window · n_features]` | speech |
//! | `embed.weight` | `[d_model, window · window]`, feature by feature | speech of patches |
//! | `embed.bias` | `[d_model]` | speech with `bias` |
//! | `class_token.weight` | `[1, d_model]` | `speech.class_tokens` |
//! | `distillation_token.weight` | `[1, d_model]` | two of them |
//! | `position.weight` | `[max_seq_len, d_model]` | `position = "learnt"` |
//! | `token_type.weight` | `[token_types, d_model]`; row 0 is added to every position | `token_types` |
//! | `embed_norm.weight` | `[d_model]` | `embed_norm` |
//! | `embed_norm.bias` | `[d_model]` | and `norm = "layer"` and `bias` |
//! | `blocks.i.attn_norm.weight` | `[d_model]` | |
//! | `blocks.i.attn_norm.bias` | `[d_model]` | `norm = "layer"` and `bias` |
//! | `blocks.i.attn.wq.weight` | `[d_model, d_model]` | |
//! | `blocks.i.attn.wk.weight`, `….wv.weight` | `[n_kv_heads · head_dim, d_model]` | |
//! | `blocks.i.attn.wo.weight` | `[d_model, d_model]` | |
//! | `blocks.i.attn.w{q,k,v,o}.bias` | rows of the weight | `bias` |
//! | `blocks.i.attn.q_norm.weight`, `….k_norm.weight` | `[head_dim]` | `qk_norm` |
//! | `blocks.i.mlp_norm.weight` | `[d_model]` | |
//! | `blocks.i.mlp_norm.bias` | `[d_model]` | `norm = "layer"` and `bias` |
//! | `blocks.i.mlp.up.weight` | `[d_ff, d_model]` | |
//! | `blocks.i.mlp.gate.weight` | `[d_ff, d_model]` | `activation = "swiglu"` |
//! | `blocks.i.mlp.down.weight` | `[d_model, d_ff]` | |
//! | `blocks.i.mlp.{up,gate,down}.bias` | rows of the weight | `bias` |
//! | `norm.weight` | `[d_model]` | `norm_placement = "pre"` |
//! | `norm.bias` | `[d_model]` | and `norm = "layer"` and `bias` |
//! | `blocks.i.forward.input.weight` | `[g · h, d_model]` | `backbone = "gru"` (`g` = 3) or `"lstm"` (4); `h` is `d_model`, or half of it where there is a `backward` |
//! | `blocks.i.forward.state.weight` | `[g · h, h]` | with them |
//! | `blocks.i.forward.{input,state}.bias` | `[g · h]` | and `bias` |
//! | `blocks.i.backward…` | as `forward` | and `mask = "full"` |
//! | `blocks.i.norm.weight`, `….bias`; `norm…` | `[d_model]` | with them, the bias with `bias` |
//! | `blocks.i.conv.weight` | `[d_model, 5 · d_model]` | `backbone = "cnn"` over sequences, which has `blocks.i.norm` and `norm`, too |
//! | `pooler.weight` | `[d_model, d_model]` | `pooler` |
//! | `pooler.bias` | `[d_model]` | and `bias` |
//! | `head.weight` | `[vocab_size, d_model]` | text-lm with `tied = false` |
//! | `head.weight` | `[n_classes, d_model]` | classifiers, speech-frames |
//! | `head.weight` | `[n_classes + 1, d_model]`, the blank last | speech-ctc |
//! | `head.bias` | rows of the weight | and with `bias` |
//! | `head.norm.weight` | `[d_model]` | `speech.head_norm` |
//! | `head.norm.bias` | `[d_model]` | and `norm = "layer"` and `bias` |
//!
//! Models of images have these in place of the first two:
//!
//! | name | shape | there if |
//! | --- | --- | --- |
//! | `embed.weight` | `[d_model, patch · patch · channels]` | |
//! | `embed.bias` | `[d_model]` | `bias` |
//! | `class_token.weight` | `[1, d_model]` | `image.class_token` |
//! | `position.weight` | `[max_seq_len, d_model]` | `position = "learnt"` |
//! | `position.rows.weight` | `[rows, d_model]` | `position = "learnt_2d"` |
//! | `position.columns.weight` | `[columns, d_model]` | `position = "learnt_2d"` |
//! | `window.bias` | `[n_heads, (2 r_y + 1) · (2 r_x + 1)]`, three columns more with a class token | `image.window` |
//!
//! With `backbone = "cnn"` they have `blocks.i.conv.weight`, `[d_out, 9 · d_in]`, and
//! `blocks.i.norm`, and neither embedding nor positions.
//!
//! `max_seq_len` is the number of patches, and one more for a class token; rows and
//! columns are those of the grid of patches, and one more for a class token. `r_y` is
//! `image.window`, but less than the rows of the grid, `r_x` less than its columns; column
//! `(dy + r_y) · (2 r_x + 1) + dx + r_x` is for what is read `dy` rows below and `dx` columns
//! to the right, the last three for patches that read the class token, for the class token
//! that reads patches, and for itself. The numbers
//! of a patch lie row by row, the channels of a pixel together.
//!
//! Those of graph models with `backbone = "transformer"` are, beside the blocks above:
//!
//! | name | shape | there if |
//! | --- | --- | --- |
//! | `embed.weight` | `[d_model, n_features]` | |
//! | `embed.bias` | `[d_model]` | `bias` |
//! | `structure.weight` | `[d_model, n_structure]` | nodes have structural encodings |
//! | `blocks.i.attn.we.weight` | `[n_kv_heads · head_dim, n_edge_features]` | edges have features |
//! | `blocks.i.global.w{q,k,v,o}.{weight,bias}` | as `blocks.i.attn` | `graph.global` |
//! | `head.weight` | `[n_classes, d_model]` | graph-nodes, graph-classifier |
//! | `head.weight` | `[1, d_model]` | graph-regression |
//! | `head.weight` | `[d_model, d_model]` | graph-links |
//! | `head.bias` | rows of the weight | `bias`, but for graph-links |
//!
//! and with another backbone, where `d_in` is `n_features + n_structure` in the first layer
//! and `d_model` in the others, and `d_out` is `d_model`, or `n_classes` in the last layer
//! of a graph-nodes, which has no `head`:
//!
//! | name | shape | there if |
//! | --- | --- | --- |
//! | `layers.i.weight` | `[d_out, d_in]`; gat: `[heads · channels, d_in]` | |
//! | `layers.i.bias` | `[d_out]` | |
//! | `layers.i.to`, `layers.i.from` | `[heads, channels]` | gat |
//!
//! # nanoGPT
//!
//! `bias = false`, everything else at its default but `activation = "gelu_erf"`, is the
//! model of nanoGPT (<https://github.com/karpathy/nanoGPT>): pre-norm blocks, learnt
//! positions, a tied head, weights drawn from N(0, 0.02²), those of `wo` and `down` from
//! N(0, 0.02² / (2 n_layers)). It uses the exact GELU where GPT-2 has the tanh form, our
//! default; losses of the two agree to the noise of a seed.

pub mod baseline;
mod config;
pub mod cost;
pub mod ctc_decode;
mod edit_distance;
mod evaluation;
mod first_weights;
pub mod graph;
pub mod image;
mod layers;
mod model;
mod objective;
mod parameters;
pub mod speech;
mod stack;
pub mod text;

pub use attn_core::{Input, Targets};
pub use config::{
    Activation, Backbone, BlockMemory, ConfigError, DataSizes, Front, GraphConfig, ImageConfig,
    Kind, MaskConfig, Modality, ModelConfig, NormKind, NormOrder, PatchConfig, Pooling,
    SpeechConfig,
};
pub use edit_distance::edit_distance;
pub use encodings::EncodingConfig;
pub use evaluation::{Confusion, Edits, Errors, Evaluation, Outcome, Ranks, Scores};
pub use layers::Layers;
pub use model::Model;
pub use objective::LossOptions;
pub use parameters::{Parameter, adaptable, parameters};
