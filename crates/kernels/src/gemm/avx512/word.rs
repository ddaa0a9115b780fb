//! What a lane of a vector holds of a sum: a word of 32 bits.
//!
//! A word is a number of `f32`, or two numbers rounded to `bf16` that follow each other along
//! the sum, of which `vdpbf16ps` adds both products to an `f32`. All else about products is the
//! same for both.

use std::arch::x86_64::*;

use super::turn::LANES;
use crate::gemm::matrix::Mat;

/// What is multiplied, 32 bits at a time.
///
/// # Safety
///
/// A word has the size of an `f32`.
pub(in crate::gemm) unsafe trait Word: Copy + Default + Send + Sync {
    /// Terms of the sum in a word.
    const TERMS: usize;

    /// Whether this machine multiplies these words.
    fn is_multiplied_here() -> bool;

    /// `numbers` as words, if they are words as they lie.
    fn as_they_lie(numbers: Mat<'_, f32>) -> Option<Mat<'_, Self>>;

    /// Calls `work`, which is compiled for the instructions of this machine if it and all
    /// that it calls is inlined.
    ///
    /// # Safety
    ///
    /// This machine multiplies these words.
    unsafe fn with_instructions<R>(work: impl FnOnce() -> R) -> R;

    /// Words of sixteen lanes: their numbers of the first and of the last term of the word.
    /// What there is not is zero.
    ///
    /// # Safety
    ///
    /// This machine multiplies these words.
    unsafe fn across(terms: [&[f32]; 2]) -> __m512i;

    /// Sixteen words of one lane, whose numbers these are. What there is not is zero.
    ///
    /// # Safety
    ///
    /// This machine multiplies these words.
    unsafe fn along(numbers: &[f32]) -> __m512i;

    /// The sum, and the products of each pair of words.
    ///
    /// # Safety
    ///
    /// This machine multiplies these words.
    unsafe fn add_products(sum: __m512, left: __m512i, right: __m512i) -> __m512;
}

// SAFETY: it is an `f32`.
unsafe impl Word for f32 {
    const TERMS: usize = 1;

    fn is_multiplied_here() -> bool {
        crate::instruction_set() == "avx512"
    }

    fn as_they_lie(numbers: Mat<'_, f32>) -> Option<Mat<'_, Self>> {
        Some(numbers)
    }

    #[inline(always)]
    unsafe fn with_instructions<R>(work: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx512f")]
        fn inside<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        // SAFETY: the caller's promise.
        unsafe { inside(work) }
    }

    #[inline(always)]
    unsafe fn across(terms: [&[f32]; 2]) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_castps_si512(load(terms[0])) }
    }

    #[inline(always)]
    unsafe fn along(numbers: &[f32]) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_castps_si512(load(numbers)) }
    }

    #[inline(always)]
    unsafe fn add_products(sum: __m512, left: __m512i, right: __m512i) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_fmadd_ps(_mm512_castsi512_ps(left), _mm512_castsi512_ps(right), sum) }
    }
}

/// Two numbers of `bf16` that follow each other along the sum, the first in the low half; they
/// are rounded to nearest, ties to even.
#[derive(Clone, Copy, Default)]
#[repr(transparent)]
pub(in crate::gemm) struct Pair(u32);

// SAFETY: it is a `u32`.
unsafe impl Word for Pair {
    const TERMS: usize = 2;

    fn is_multiplied_here() -> bool {
        crate::instruction_set() == "avx512"
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16")
    }

    fn as_they_lie(_: Mat<'_, f32>) -> Option<Mat<'_, Self>> {
        None
    }

    #[inline(always)]
    unsafe fn with_instructions<R>(work: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
        fn inside<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        // SAFETY: the caller's promise.
        unsafe { inside(work) }
    }

    #[inline(always)]
    unsafe fn across(terms: [&[f32]; 2]) -> __m512i {
        /// Numbers of the low and of the high half of a vector, in turn.
        const ORDER: [u16; 2 * LANES] = {
            let mut order = [0; 2 * LANES];
            let mut i = 0;
            while i < LANES {
                order[2 * i] = i as u16;
                order[2 * i + 1] = (i + LANES) as u16;
                i += 1;
            }
            order
        };
        // SAFETY: the caller's promise, and the order is a vector.
        unsafe {
            let order = _mm512_loadu_si512(ORDER.as_ptr().cast());
            _mm512_permutexvar_epi16(order, rounded(load(terms[0]), load(terms[1])))
        }
    }

    #[inline(always)]
    unsafe fn along(numbers: &[f32]) -> __m512i {
        let (low, high) = numbers.split_at(numbers.len().min(LANES));
        // SAFETY: the caller's promise.
        unsafe { rounded(load(low), load(high)) }
    }

    #[inline(always)]
    unsafe fn add_products(sum: __m512, left: __m512i, right: __m512i) -> __m512 {
        // SAFETY: the types are 512 bits, all of which mean something; the caller's promise.
        unsafe {
            let [left, right]: [__m512bh; 2] = std::mem::transmute([left, right]);
            _mm512_dpbf16_ps(sum, left, right)
        }
    }
}

/// Up to sixteen numbers, and zeros.
///
/// # Safety
///
/// This machine has AVX-512.
#[inline(always)]
unsafe fn load(numbers: &[f32]) -> __m512 {
    let mask = match numbers.len() {
        // SAFETY: the slice holds a vector.
        LANES.. => return unsafe { _mm512_loadu_ps(numbers.as_ptr()) },
        n => (1u16 << n) - 1,
    };
    // SAFETY: the mask admits what the slice holds, nothing else is read.
    unsafe { _mm512_maskz_loadu_ps(mask, numbers.as_ptr()) }
}

/// Numbers of `bf16`: sixteen in the low half, and sixteen in the high half.
///
/// # Safety
///
/// This machine has AVX512-BF16.
#[inline(always)]
unsafe fn rounded(low: __m512, high: __m512) -> __m512i {
    // SAFETY: both types are 512 bits, all of which mean something; the caller's promise.
    unsafe { std::mem::transmute(_mm512_cvtne2ps_pbh(high, low)) }
}
