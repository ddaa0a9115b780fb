//! All steps back.

use std::marker::PhantomData;

use candle_core::{Result, Tensor};

use super::cell::{Backward, Cell};
use super::steps::Steps;
use crate::gemm::{Mat, MatMut, gemm};
use crate::linear::column_sums;
use crate::simd::write;
use crate::storage::{buffer, values};
use crate::tape::{self, Node};
use crate::{Precision, Real};

/// Arguments: the projected inputs, the weight of the states, their bias if there is one.
pub(super) struct Recurrent<C, T> {
    pub(super) steps: Steps,
    pub(super) d: usize,
    /// As the forward pass left them; see [`Run`](super::forward::Run).
    pub(super) gates: Vec<T>,
    pub(super) extra: Vec<T>,
    pub(super) cell: PhantomData<C>,
}

/// Gradients of the projections, in the order of time.
struct Projected<T> {
    dgates: Vec<T>,
    /// Empty where it is the same.
    dhidden: Vec<T>,
}

impl<T> Projected<T> {
    fn dhidden(&self) -> &[T] {
        match self.dhidden.is_empty() {
            true => &self.dgates,
            false => &self.dhidden,
        }
    }
}

impl<C: Cell, T: Real> Recurrent<C, T> {
    /// `states` and `dstates` are in the order of time.
    fn steps_back(&self, w: &[T], states: &[T], dy: &[T]) -> Projected<T> {
        let Self {
            steps,
            d,
            gates,
            extra,
            ..
        } = self;
        let (d, n, width) = (*d, steps.n_rows(), C::GATES * self.d);
        let mut dgates = buffer::<T>(n * width);
        let mut dhidden = buffer::<T>(if C::APART { n * width } else { 0 });
        let zeros = buffer::<T>(steps.widest() * d);
        let (mut dstates, mut dextra) = (zeros.clone(), zeros.clone());
        for step in (0..steps.len()).rev() {
            let rows = steps.at(step);
            let (narrow, wide) = (
                rows.start * d..rows.end * d,
                rows.start * width..rows.end * width,
            );
            let dstates = &mut dstates[..rows.len() * d];
            write(&dy[narrow.clone()], dstates, true);
            let (before, extra_before) = match steps.before(step) {
                None => (&zeros[..], &zeros[..]),
                Some(before) => {
                    let at = before.start * d..before.end * d;
                    (&states[at.clone()], &extra[at])
                }
            };
            Backward {
                d,
                gates: &gates[wide.clone()],
                extra: &extra[narrow],
                before,
                extra_before,
                dstates: &mut *dstates,
                dextra: &mut dextra[..rows.len() * d],
                dgates: &mut dgates[wide.clone()],
                dhidden: dhidden.get_mut(wide.clone()).unwrap_or_default(),
            }
            .run::<C>();
            if step > 0 {
                let passed = if C::APART { &dhidden } else { &dgates };
                gemm(
                    Precision::F32,
                    MatMut::new(dstates, rows.len(), d),
                    true,
                    Mat::new(&passed[wide], rows.len(), width),
                    Mat::new(w, width, d),
                );
            }
        }
        Projected { dgates, dhidden }
    }

    /// `dw (+)= Σ dhiddenᵀ states_before`, one product over all steps but the first.
    fn weight_grad(&self, states: &[T], dhidden: &[T], dw: &mut [T], accumulate: bool) {
        let (d, width) = (self.d, C::GATES * self.d);
        let mut before = Vec::with_capacity(states.len());
        for rows in (1..self.steps.len()).filter_map(|step| self.steps.before(step)) {
            before.extend_from_slice(&states[rows.start * d..rows.end * d]);
        }
        let n = before.len() / d.max(1);
        let dhidden = &dhidden[dhidden.len() - n * width..];
        gemm(
            Precision::F32,
            MatMut::new(dw, width, d),
            accumulate,
            Mat::new(dhidden, n, width).t(),
            Mat::new(&before, n, d),
        );
    }
}

impl<C: Cell, T: Real> Node for Recurrent<C, T> {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn reads_output(&self) -> bool {
        true
    }

    fn backward(&self, pass: &tape::Backward<'_>) -> Result<Vec<Option<Tensor>>> {
        let width = C::GATES * self.d;
        let w = values::<T>(&pass.args[1])?;
        let states = self.steps.gather(&values::<T>(pass.output()?)?, self.d);
        let dy = self.steps.gather(&values::<T>(pass.grad)?, self.d);
        let projected = self.steps_back(&w, &states, &dy);
        let dx = pass.deliver(0, |dx: &mut [T], accumulate| {
            write(
                &self.steps.scatter(&projected.dgates, width),
                dx,
                accumulate,
            );
            Ok(())
        })?;
        let dw = pass.deliver(1, |dw: &mut [T], accumulate| {
            self.weight_grad(&states, projected.dhidden(), dw, accumulate);
            Ok(())
        })?;
        let mut grads = vec![dx, dw];
        if pass.args.len() > 2 {
            grads.push(pass.deliver(2, |dbias: &mut [T], accumulate| {
                let mut sums = buffer::<T>(width);
                column_sums(projected.dhidden(), width, &mut sums);
                write(&sums, dbias, accumulate);
                Ok(())
            })?);
        }
        Ok(grads)
    }
}
