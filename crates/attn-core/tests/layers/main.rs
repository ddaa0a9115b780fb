//! The layers against plain definitions in `f64`: values, gradients, properties, reach.

mod attention;
mod block;
mod cache;
mod config;
mod edges;
mod lora;
mod memory;
mod rows;
mod threads;
mod training;

use attn_core::{Mask, ParamStore, Pattern};
use candle_core::{DType, Device, Tensor};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Rounding of a few hundred operations in `f64` on numbers of unit size.
const ROUNDING: f64 = 1e-11;

fn store() -> ParamStore {
    ParamStore::new(1, DType::F64, &Device::Cpu)
}

/// Replaces first values, many of which are 0 or 1, by random ones.
fn shake(store: &ParamStore) -> Result {
    for (seed, var) in store.vars().iter().enumerate() {
        var.set(&(testkit::randn(seed as u64, var.shape())? * 0.5)?)?;
    }
    Ok(())
}

fn param(store: &ParamStore, name: &str) -> Option<Tensor> {
    store.get(name).map(|var| var.as_detached_tensor())
}

/// Patterns of every kind that has a kernel, some of which leave rows apart.
fn patterns() -> [Pattern; 5] {
    [
        Pattern::Full,
        Pattern::Causal,
        Pattern::Band { left: 1, right: 2 },
        Pattern::Band {
            left: usize::MAX,
            right: 1,
        },
        Pattern::Chunk { size: 2, left: 1 },
    ]
}

/// Seven rows in three sequences, the second of them empty.
fn mask(pattern: Pattern) -> Mask {
    Mask::new(pattern, [0, 4, 4, 7]).expect("valid walls")
}

/// The rows of `x` in another order.
fn pick(x: &Tensor, rows: &[u32]) -> Result<Tensor> {
    Ok(x.index_select(&Tensor::new(rows, x.device())?, 0)?)
}

/// Every number of `x`, exactly.
fn bits(x: &Tensor) -> Result<Vec<u64>> {
    let values = x.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    Ok(values.into_iter().map(f64::to_bits).collect())
}
