//! Attention on a GPU: the same tiles and the same online softmax as on the CPU, a block of
//! threads for each block of queries of a head, and in the backward pass for each block of keys
//! as well.
//!
//! - `tile.cuh`, `forward.cuh`, `backward.cuh`: the kernels, which `attention.cu` makes for each
//!   width of heads; `shape`: how they are launched;
//! - `copies`: what the spans and positions say, on the GPU;
//! - `call`: checked operands; `node`: the two passes.

mod call;
mod copies;
mod node;
mod shape;

pub(crate) use copies::Copies;
pub(super) use node::forward;
