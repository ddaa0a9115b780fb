//! Tensors as rows of numbers, and back.

use candle_core::{DType, Device, Result, Tensor};

/// One vector a row.
pub(super) type Rows = Vec<Vec<f64>>;

/// `[n, d]` as `n` vectors of length `d`.
pub(super) fn rows(x: &Tensor) -> Result<Rows> {
    x.to_dtype(DType::F64)?.to_vec2()
}

/// `[d]` as a vector.
pub(super) fn vector(x: &Tensor) -> Result<Vec<f64>> {
    x.to_dtype(DType::F64)?.to_vec1()
}

/// `n` vectors of length `d` as `[n, d]`, `f64`; `d` is told for the case `n = 0`.
pub(super) fn tensor(rows: &Rows, d: usize) -> Result<Tensor> {
    Tensor::from_vec(rows.concat(), (rows.len(), d), &Device::Cpu)
}

/// `Σᵢ aᵢ bᵢ`
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "vectors of unequal length");
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
