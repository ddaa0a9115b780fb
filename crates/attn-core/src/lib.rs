//! Masks, attention layers and the parameter store.
//!
//! The residual stream is packed: `[n, d_model]` holds the rows of all sequences of a
//! batch, one after the other, and a [`Mask`] says where each ends and who may attend
//! to whom.

pub mod mask;
pub mod pass;
pub mod store;

pub use mask::{Mask, MaskError, Pattern};
pub use pass::Pass;
pub use store::{LoadError, ParamStore};
