//! What the tests of this workspace share: seeded inputs, gradient checks, reach
//! checks, comparison, and plain definitions to compare with.
//!
//! - [`randn`], [`rand_ids`]: inputs that are a pure function of a seed;
//! - [`gradcheck`], [`gradcheck_all`]: backward against central differences;
//! - [`reach`]: every parameter gets a finite gradient that is not all zero;
//! - [`assert_close`]: two tensors agree, and if not, where they differ most;
//! - [`oracle`]: each operation as plain loops in `f64`.
//!
//! The crate knows no other crate of the workspace, so that nothing it checks can
//! check itself. Its functions panic where a test should fail, and return an
//! error only where the tensor library does.
//!
//! ```
//! use candle_core::{Result, Var};
//!
//! # fn main() -> Result<()> {
//! let x = Var::from_tensor(&testkit::randn(7, (3, 4))?)?;
//! testkit::gradcheck(&x, |x| x.sqr())?;
//! # Ok(())
//! # }
//! ```

mod close;
#[cfg(test)]
mod failure;
mod gradcheck;
pub mod oracle;
mod random;
mod reach;

pub use close::{assert_close, max_error};
pub use gradcheck::{gradcheck, gradcheck_all};
pub use random::{rand_ids, randn};
pub use reach::reach;
