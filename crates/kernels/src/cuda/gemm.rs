//! Matrix products by cuBLAS.

use candle_core::cuda_backend::cudarc::cublas::result::gemm_ex;
use candle_core::cuda_backend::cudarc::cublas::sys::cublasComputeType_t::{
    CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_16BF, CUBLAS_COMPUTE_64F,
};
use candle_core::cuda_backend::cudarc::cublas::sys::cublasGemmAlgo_t::CUBLAS_GEMM_DFALT;
use candle_core::cuda_backend::cudarc::cublas::sys::cublasOperation_t::{
    self, CUBLAS_OP_N, CUBLAS_OP_T,
};
use candle_core::cuda_backend::cudarc::cublas::sys::cudaDataType_t::{CUDA_R_32F, CUDA_R_64F};
use candle_core::{CudaDevice, Result};

use super::{Element, Pointer, fault};
use crate::Precision;

/// A matrix in the memory of a GPU, or the transpose of one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix {
    pointer: Pointer,
    rows: usize,
    columns: usize,
    /// From one row in memory to the next.
    stride: usize,
    transposed: bool,
}

impl Matrix {
    /// `rows` rows of `columns` values, one after the other.
    pub(crate) fn new(pointer: Pointer, rows: usize, columns: usize) -> Self {
        Self::strided(pointer, rows, columns, columns)
    }

    /// `rows` rows of `columns` values, `stride` values apart.
    pub(crate) fn strided(pointer: Pointer, rows: usize, columns: usize, stride: usize) -> Self {
        Self {
            pointer,
            rows,
            columns,
            stride,
            transposed: false,
        }
    }

    /// The transpose, in the same memory.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            transposed: !self.transposed,
            ..self
        }
    }

    fn operation(&self) -> cublasOperation_t {
        match self.transposed {
            true => CUBLAS_OP_T,
            false => CUBLAS_OP_N,
        }
    }
}

/// `c = a b`, or `c += a b`. Factors of `f32` are multiplied as they are or, if `precision`
/// says so, rounded; sums are `f32`.
pub(crate) fn gemm<T: Element>(
    device: &CudaDevice,
    precision: Precision,
    c: Matrix,
    accumulate: bool,
    a: Matrix,
    b: Matrix,
) -> Result<()> {
    debug_assert!(c.rows == a.rows && c.columns == b.columns && a.columns == b.rows);
    debug_assert!(!c.transposed);
    if c.rows == 0 || c.columns == 0 {
        return Ok(());
    }
    let (kind, compute) = match (T::SUFFIX, precision) {
        ("f32", Precision::F32) => (CUDA_R_32F, CUBLAS_COMPUTE_32F),
        ("f32", Precision::Bf16) => (CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_16BF),
        _ => (CUDA_R_64F, CUBLAS_COMPUTE_64F),
    };
    let beta = if accumulate { 1.0 } else { 0.0 };
    let (singles, doubles) = ([1f32, beta as f32], [1f64, beta]);
    let [alpha, beta] = match kind {
        CUDA_R_32F => singles.each_ref().map(|x| std::ptr::from_ref(x).cast()),
        _ => doubles.each_ref().map(|x| std::ptr::from_ref(x).cast()),
    };
    let [m, n, k] = [c.columns, c.rows, a.columns].map(|x| x as i32);
    // cuBLAS counts by columns: to it, all three are transposed, and cᵀ = bᵀ aᵀ.
    // SAFETY: every `Matrix` lies in the memory of its pointer, alpha and beta are of the type
    // of the sums.
    unsafe {
        gemm_ex(
            *device.cublas_handle().handle(),
            b.operation(),
            a.operation(),
            m,
            n,
            k,
            alpha,
            b.pointer.address() as _,
            kind,
            b.stride as i32,
            a.pointer.address() as _,
            kind,
            a.stride as i32,
            beta,
            c.pointer.address() as _,
            kind,
            c.stride as i32,
            compute,
            CUBLAS_GEMM_DFALT,
        )
    }
    .map_err(fault)
}
