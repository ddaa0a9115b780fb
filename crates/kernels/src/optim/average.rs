//! Running averages of parameters, and exchanging the two.

use candle_core::{Result, Var, bail};

use crate::Real;
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
        flat.extend_from_slice(&values::<f32>(param)?);
    }
    Ok(flat)
}

/// Moves an exponential average towards the parameters:
/// `average += (1 − decay) (parameter − average)`.
///
/// # Shapes
///
/// - `average`: as [`flatten`] makes it
///
/// # Errors
///
/// As [`flatten`]; and if the average has another length.
pub fn ema<'a>(
    average: &mut [f32],
    params: impl IntoIterator<Item = &'a Var>,
    decay: f64,
) -> Result<()> {
    let by = (1.0 - decay) as f32;
    each(average, params, |average, param| {
        let param = values::<f32>(param)?;
        pieces_mut(average, |first, average| {
            let param = &param[first..first + average.len()];
            f32::dispatch(Towards { by, param, average });
        });
        Ok(())
    })
}

/// Exchanges the values of the parameters with `flat`: once to evaluate with an
/// average, once more to go on.
///
/// # Shapes
///
/// - `flat`: as [`flatten`] makes it
///
/// # Errors
///
/// As [`flatten`]; and if `flat` has another length.
pub fn swap<'a>(flat: &mut [f32], params: impl IntoIterator<Item = &'a Var>) -> Result<()> {
    each(flat, params, |flat, param| {
        change(param, |values| values.swap_with_slice(flat))
    })
}

/// Calls `f` with each parameter and its part of `flat`; not at all if the lengths
/// disagree.
fn each<'a>(
    mut flat: &mut [f32],
    params: impl IntoIterator<Item = &'a Var>,
    f: impl Fn(&mut [f32], &Var) -> Result<()>,
) -> Result<()> {
    let params = Vec::from_iter(params);
    let len: usize = params.iter().map(|param| param.elem_count()).sum();
    if flat.len() != len {
        bail!("a buffer of {} for {len} numbers of parameters", flat.len());
    }
    for param in params {
        let part = flat.split_off_mut(..param.elem_count());
        f(part.expect("lengths agree"), param)?;
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
