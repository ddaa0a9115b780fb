//! The vector vocabulary that kernels are written in.

use pulp::Simd;

use super::Real;
use super::math;

/// Work that runs on vectors of `T`.
pub trait Kernel<T> {
    /// What the work gives back.
    type Output;

    /// Does the work; must be `#[inline(always)]`, so that it is compiled for
    /// the instruction set of `lanes`.
    fn run<L: Lanes<Elem = T>>(self, lanes: L) -> Self::Output;
}

/// A token for vectors of `Elem` on one instruction set.
///
/// `load` and `store` work on the first [`Lanes::N`] elements of a slice, the
/// `_partial` forms on a slice that may be shorter (missing lanes read as zero).
pub trait Lanes: Copy + Send + Sync {
    /// Type of one lane.
    type Elem: Real;
    /// A vector.
    type V: Copy + Send + Sync;
    /// Lanes in a vector.
    const N: usize;

    fn splat(self, x: Self::Elem) -> Self::V;
    fn load(self, from: &[Self::Elem]) -> Self::V;
    fn store(self, to: &mut [Self::Elem], v: Self::V);
    fn load_partial(self, from: &[Self::Elem]) -> Self::V;
    fn store_partial(self, to: &mut [Self::Elem], v: Self::V);

    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    fn abs(self, a: Self::V) -> Self::V;
    fn sqrt(self, a: Self::V) -> Self::V;
    /// `a * b + c`, fused where the machine can.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a < b ? yes : no`
    fn select_lt(self, a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;

    /// Moves lane `i` to lane `(i + by) mod N`.
    fn rotate(self, v: Self::V, by: usize) -> Self::V;

    /// Sum of the lanes.
    fn sum(self, v: Self::V) -> Self::Elem;
    /// Largest lane.
    fn max_lane(self, v: Self::V) -> Self::Elem;

    /// `e^x`; zero far below zero, so that `-inf` is a masked score.
    fn exp(self, x: Self::V) -> Self::V;
    /// The error function.
    fn erf(self, x: Self::V) -> Self::V;

    #[inline(always)]
    fn zero(self) -> Self::V {
        self.splat(<Self::Elem as candle_core::WithDType>::from_f64(0.0))
    }

    #[inline(always)]
    fn constant(self, x: f64) -> Self::V {
        self.splat(<Self::Elem as candle_core::WithDType>::from_f64(x))
    }

    /// `tanh x = sign(x) (1 - t) / (1 + t)` with `t = e^(-2|x|)`, which never overflows.
    #[inline(always)]
    fn tanh(self, x: Self::V) -> Self::V {
        let one = self.constant(1.0);
        let t = self.exp(self.mul(self.abs(x), self.constant(-2.0)));
        let positive = self.div(self.sub(one, t), self.add(one, t));
        let negative = self.sub(self.zero(), positive);
        self.select_lt(x, self.zero(), negative, positive)
    }

    /// `1 / (1 + e^-x)`
    #[inline(always)]
    fn sigmoid(self, x: Self::V) -> Self::V {
        let one = self.constant(1.0);
        let t = self.exp(self.sub(self.zero(), x));
        self.div(one, self.add(one, t))
    }
}

/// Vectors of `f32`.
#[derive(Clone, Copy)]
pub(super) struct Single<S>(pub(super) S);

/// Vectors of `f64`.
#[derive(Clone, Copy)]
pub(super) struct Double<S>(pub(super) S);

/// Each vector operation of an element type, by the name pulp gives it.
macro_rules! lanes {
    ($token:ident, $elem:ty, $vector:ident, $lanes:ident, $exp:path, $erf:path;
     $splat:ident $partial_load:ident $partial_store:ident $add:ident $sub:ident $mul:ident $div:ident
     $max:ident $min:ident $abs:ident $sqrt:ident $mul_add:ident $less_than:ident $select:ident
     $sum:ident $max_lane:ident $split:ident $split_mut:ident $rotate:ident) => {
        impl<S: Simd> Lanes for $token<S> {
            type Elem = $elem;
            type V = S::$vector;
            const N: usize = S::$lanes;

            #[inline(always)]
            fn splat(self, x: $elem) -> Self::V {
                self.0.$splat(x)
            }
            #[inline(always)]
            fn load(self, from: &[$elem]) -> Self::V {
                S::$split(&from[..Self::N]).0[0]
            }
            #[inline(always)]
            fn store(self, to: &mut [$elem], v: Self::V) {
                S::$split_mut(&mut to[..Self::N]).0[0] = v;
            }
            #[inline(always)]
            fn load_partial(self, from: &[$elem]) -> Self::V {
                // A masked load of a whole vector costs several times a plain one.
                if from.len() >= Self::N {
                    return self.load(from);
                }
                self.0.$partial_load(from)
            }
            #[inline(always)]
            fn store_partial(self, to: &mut [$elem], v: Self::V) {
                if to.len() >= Self::N {
                    return self.store(to, v);
                }
                self.0.$partial_store(to, v);
            }
            #[inline(always)]
            fn add(self, a: Self::V, b: Self::V) -> Self::V {
                self.0.$add(a, b)
            }
            #[inline(always)]
            fn sub(self, a: Self::V, b: Self::V) -> Self::V {
                self.0.$sub(a, b)
            }
            #[inline(always)]
            fn mul(self, a: Self::V, b: Self::V) -> Self::V {
                self.0.$mul(a, b)
            }
            #[inline(always)]
            fn div(self, a: Self::V, b: Self::V) -> Self::V {
                self.0.$div(a, b)
            }
            #[inline(always)]
            fn max(self, a: Self::V, b: Self::V) -> Self::V {
                self.0.$max(a, b)
            }
            #[inline(always)]
            fn min(self, a: Self::V, b: Self::V) -> Self::V {
                self.0.$min(a, b)
            }
            #[inline(always)]
            fn abs(self, a: Self::V) -> Self::V {
                self.0.$abs(a)
            }
            #[inline(always)]
            fn sqrt(self, a: Self::V) -> Self::V {
                self.0.$sqrt(a)
            }
            #[inline(always)]
            fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
                self.0.$mul_add(a, b, c)
            }
            #[inline(always)]
            fn select_lt(self, a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V {
                self.0.$select(self.0.$less_than(a, b), yes, no)
            }
            #[inline(always)]
            fn rotate(self, v: Self::V, by: usize) -> Self::V {
                self.0.$rotate(v, by)
            }
            #[inline(always)]
            fn sum(self, v: Self::V) -> $elem {
                self.0.$sum(v)
            }
            #[inline(always)]
            fn max_lane(self, v: Self::V) -> $elem {
                self.0.$max_lane(v)
            }
            #[inline(always)]
            fn exp(self, x: Self::V) -> Self::V {
                $exp(self.0, x)
            }
            #[inline(always)]
            fn erf(self, x: Self::V) -> Self::V {
                $erf(self.0, x)
            }
        }
    };
}

lanes!(Single, f32, f32s, F32_LANES, math::exp_f32, math::erf_f32;
    splat_f32s partial_load_f32s partial_store_f32s add_f32s sub_f32s mul_f32s div_f32s
    max_f32s min_f32s abs_f32s sqrt_f32s mul_add_e_f32s less_than_f32s select_f32s
    reduce_sum_f32s reduce_max_f32s as_simd_f32s as_mut_simd_f32s rotate_right_f32s);

lanes!(Double, f64, f64s, F64_LANES, math::exp_f64, math::erf_f64;
    splat_f64s partial_load_f64s partial_store_f64s add_f64s sub_f64s mul_f64s div_f64s
    max_f64s min_f64s abs_f64s sqrt_f64s mul_add_e_f64s less_than_f64s select_f64s
    reduce_sum_f64s reduce_max_f64s as_simd_f64s as_mut_simd_f64s rotate_right_f64s);
