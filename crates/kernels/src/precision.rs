//! What the factors of matrix products are rounded to.

use std::cell::Cell;

/// Type of the factors of matrix products; their sums, like all else, stay `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32 bits: nothing is rounded.
    #[default]
    F32,
    /// `bfloat16`: 8 bits of fraction and the range of `f32`.
    ///
    /// Mixed precision as in Micikevicius et al. 2018, "Mixed Precision Training": weights
    /// and their updates stay `f32`. For the type see Kalamkar et al. 2019,
    /// arXiv 1905.12322; with its range, no loss need be scaled.
    Bf16,
}

thread_local! {
    static CURRENT: Cell<Precision> = const { Cell::new(Precision::F32) };
}

impl Precision {
    /// Whether this machine computes with it: for [`Precision::Bf16`], whether it has
    /// AVX512-BF16 and may use it.
    pub fn is_supported(self) -> bool {
        match self {
            Self::F32 => true,
            Self::Bf16 => crate::gemm::computes_bf16(),
        }
    }

    /// Calls `work`, on this thread, with products of this precision in
    /// [`linear`](crate::linear), [`linear_concat`](crate::linear_concat) and
    /// [`linear_cross_entropy`](crate::linear_cross_entropy) of `f32` tensors, and in their
    /// way back whenever that is walked. On a machine that does not support it, and for
    /// `f64`, nothing is rounded.
    pub fn during<R>(self, work: impl FnOnce() -> R) -> R {
        struct Restore(Precision);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.set(self.0);
            }
        }
        let _restore = Restore(CURRENT.replace(self));
        work()
    }

    /// That of the innermost [`Precision::during`].
    pub(crate) fn current() -> Self {
        CURRENT.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_counts_and_ends_with_its_work() {
        assert_eq!(Precision::current(), Precision::F32);
        let inside = Precision::Bf16.during(|| {
            let inner = Precision::F32.during(Precision::current);
            (inner, Precision::current())
        });
        assert_eq!(inside, (Precision::F32, Precision::Bf16));
        let panicked = std::panic::catch_unwind(|| Precision::Bf16.during(|| panic!("stop")));
        assert!(panicked.is_err());
        assert_eq!(Precision::current(), Precision::F32);
    }
}
