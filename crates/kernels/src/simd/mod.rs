//! One way to write a vector kernel, once, for every element type and CPU.
//!
//! A kernel is generic over [`Lanes`], a token for "vectors of `Elem` on this
//! instruction set". [`Real::dispatch`] picks the widest set that the machine
//! has (AVX-512, AVX2 with FMA, or none) and runs the kernel compiled for it.
//! `f64` runs through the same code, so that gradients proven in `f64` are the
//! gradients that `f32` computes; on vectors of 256 bits at most, as it need not be fast.
//!
//! `KERNELS_ISA=scalar|avx2|avx512` narrows the choice, for tests and
//! comparisons; a set that the machine lacks is ignored.

mod across;
#[cfg_attr(not(target_arch = "x86_64"), path = "isa_portable.rs")]
#[cfg_attr(target_arch = "x86_64", path = "isa_x86.rs")]
mod isa;
mod lanes;
mod math;
mod slices;

pub(crate) use across::{LONGEST, lane_bits, sums, sums_by, sums_of_halves, transpose};
pub use isa::instruction_set;
pub(crate) use isa::prefetch;
pub(crate) use lanes::{Kernel, Lanes};
pub(crate) use slices::{
    map, map1, map1_sum_by, map2, map3, max, sum, sum_by, sum_of_products, sum_of_products3,
    update, write,
};

use std::mem::MaybeUninit;

use candle_core::{CpuStorage, WithDType};
use pulp::{Simd, WithSimd};

use isa::{run, run_short};
use lanes::{Double, Single};

/// A floating-point type that every kernel supports: `f32` for speed, `f64`
/// for proofs.
pub trait Real: WithDType + OnDevices {
    /// Runs `kernel` on the widest vectors of this machine.
    #[doc(hidden)]
    fn dispatch<K: Kernel<Self>>(kernel: K) -> K::Output;

    /// The slots of a flat `f32` gradient buffer, if they can hold this type.
    #[doc(hidden)]
    fn from_f32_slot(slot: &mut [f32]) -> Option<&mut [Self]>;

    /// `values`, if they are `f32`.
    #[doc(hidden)]
    fn singles(values: &[Self]) -> Option<&[f32]>;

    /// As [`Real::singles`], of room for values.
    #[doc(hidden)]
    fn singles_mut(room: &mut [MaybeUninit<Self>]) -> Option<&mut [MaybeUninit<f32>]>;

    /// The values of a storage of this type.
    #[doc(hidden)]
    fn storage_mut(storage: &mut CpuStorage) -> Option<&mut Vec<Self>>;

    /// `e^x`, one value
    #[doc(hidden)]
    fn exp(self) -> Self;
}

/// What a type needs for the devices that this build computes on, beside the processor.
#[cfg(not(feature = "cuda"))]
pub trait OnDevices {}

/// What a type needs for the devices that this build computes on, beside the processor.
#[cfg(feature = "cuda")]
pub trait OnDevices: crate::cuda::Element {}

impl OnDevices for f32 {}
impl OnDevices for f64 {}

impl Real for f32 {
    #[inline]
    fn dispatch<K: Kernel<Self>>(kernel: K) -> K::Output {
        struct Op<K>(K);
        impl<K: Kernel<f32>> WithSimd for Op<K> {
            type Output = K::Output;
            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
                self.0.run(Single(simd))
            }
        }
        run(Op(kernel))
    }

    fn from_f32_slot(slot: &mut [f32]) -> Option<&mut [Self]> {
        Some(slot)
    }

    fn singles(values: &[Self]) -> Option<&[f32]> {
        Some(values)
    }

    fn singles_mut(room: &mut [MaybeUninit<Self>]) -> Option<&mut [MaybeUninit<f32>]> {
        Some(room)
    }

    fn storage_mut(storage: &mut CpuStorage) -> Option<&mut Vec<Self>> {
        match storage {
            CpuStorage::F32(values) => Some(values),
            _ => None,
        }
    }

    fn exp(self) -> Self {
        f32::exp(self)
    }
}

impl Real for f64 {
    #[inline]
    fn dispatch<K: Kernel<Self>>(kernel: K) -> K::Output {
        struct Op<K>(K);
        impl<K: Kernel<f64>> WithSimd for Op<K> {
            type Output = K::Output;
            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
                self.0.run(Double(simd))
            }
        }
        run_short(Op(kernel))
    }

    fn from_f32_slot(_: &mut [f32]) -> Option<&mut [Self]> {
        None
    }

    fn singles(_: &[Self]) -> Option<&[f32]> {
        None
    }

    fn singles_mut(_: &mut [MaybeUninit<Self>]) -> Option<&mut [MaybeUninit<f32>]> {
        None
    }

    fn storage_mut(storage: &mut CpuStorage) -> Option<&mut Vec<Self>> {
        match storage {
            CpuStorage::F64(values) => Some(values),
            _ => None,
        }
    }

    fn exp(self) -> Self {
        f64::exp(self)
    }
}
