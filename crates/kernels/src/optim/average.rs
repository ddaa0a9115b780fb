//! Running averages of parameters, and exchanging the two.

use std::borrow::Cow;

use candle_core::{Result, Var, bail};

use crate::Real;
use crate::memory::Memory;
use crate::parallel::pieces_mut;
use crate::simd::{Kernel, Lanes, map2};
use crate::storage::{change, values};

/// The values of all parameters, one after the other.
///
/// # Errors
///
/// Fails if one is not `f32` or not contiguous.
pub fn flatten<'a>(params: impl IntoIterator<Item = &'a Var>) -> Result<Vec<f32>> {
    let mut flat = Vec::new();
    for param in params {
        match param.device().is_cpu() {
            true => flat.extend_from_slice(&values::<f32>(param)?),
            false => flat.extend(param.flatten_all()?.to_vec1::<f32>()?),
        }
    }
    Ok(flat)
}

/// An average of all parameters, one after the other, in the memory that they are in.
#[derive(Debug)]
pub struct Average(Memory);

impl Average {
    /// The average of what the parameters are now.
    ///
    /// # Errors
    ///
    /// As [`flatten`].
    pub fn new<'a>(params: impl IntoIterator<Item = &'a Var>) -> Result<Self> {
        let params = Vec::from_iter(params);
        let first = params.first().copied();
        Ok(Self(Memory::beside(first, flatten(params)?)?))
    }

    /// The average, copied if it is on a GPU.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be copied.
    pub fn values(&self) -> Result<Cow<'_, [f32]>> {
        self.0.to_host()
    }

    /// Takes over `values`.
    ///
    /// # Errors
    ///
    /// Fails if they are more or fewer.
    pub fn set(&mut self, values: Vec<f32>) -> Result<()> {
        self.0.set(values)
    }

    /// Moves towards the parameters: `average += (1 − decay) (parameter − average)`.
    ///
    /// # Errors
    ///
    /// As [`flatten`]; and if there are more or fewer numbers of parameters.
    pub fn approach<'a>(
        &mut self,
        params: impl IntoIterator<Item = &'a Var>,
        decay: f64,
    ) -> Result<()> {
        let by = (1.0 - decay) as f32;
        match &mut self.0 {
            Memory::Host(average) => each(average, params, |average, param| {
                let param = values::<f32>(param)?;
                pieces_mut(average, |first, average| {
                    let param = &param[first..first + average.len()];
                    f32::dispatch(Towards { by, param, average });
                });
                Ok(())
            }),
            #[cfg(feature = "cuda")]
            Memory::Gpu(average) => super::cuda::approach(average, params, by),
        }
    }

    /// Exchanges the average with the values of the parameters: once to evaluate with it, once
    /// more to go on.
    ///
    /// # Errors
    ///
    /// As [`Average::approach`].
    pub fn swap<'a>(&mut self, params: impl IntoIterator<Item = &'a Var>) -> Result<()> {
        match &mut self.0 {
            Memory::Host(average) => each(average, params, |average, param| {
                change(param, |values| values.swap_with_slice(average))
            }),
            #[cfg(feature = "cuda")]
            Memory::Gpu(average) => super::cuda::swap(average, params),
        }
    }
}

/// Calls `f` with each parameter and its part of `flat`; not at all if the lengths
/// disagree.
fn each<'a>(
    mut flat: &mut [f32],
    params: impl IntoIterator<Item = &'a Var>,
    f: impl Fn(&mut [f32], &Var) -> Result<()>,
) -> Result<()> {
    let params = Vec::from_iter(params);
    same_length(flat.len(), &params)?;
    for param in params {
        let part = flat.split_off_mut(..param.elem_count());
        f(part.expect("lengths agree"), param)?;
    }
    Ok(())
}

/// Fails unless `params` have `len` numbers.
pub(super) fn same_length(len: usize, params: &[&Var]) -> Result<()> {
    let want: usize = params.iter().map(|param| param.elem_count()).sum();
    if len != want {
        bail!("an average of {len} for {want} numbers of parameters");
    }
    Ok(())
}

struct Towards<'a> {
    by: f32,
    param: &'a [f32],
    average: &'a mut [f32],
}

impl Kernel<f32> for Towards<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = f32>>(self, lanes: L) {
        let by = lanes.splat(self.by);
        map2(lanes, self.average, self.param, |average, param| {
            lanes.add(average, lanes.mul(by, lanes.sub(param, average)))
        });
    }
}
