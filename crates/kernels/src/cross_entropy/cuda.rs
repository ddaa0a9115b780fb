//! Cross-entropy on a GPU: logits in chunks of rows, each turned into its gradient where it
//! lies, and that into the gradients of the arguments.

use std::ops::Range;

use candle_core::{CudaDevice, Result, Tensor};

use super::objective::Objective;
use super::{Head, Score};
use crate::Real;
use crate::cuda::{
    Arg, Buffer, Element, Grid, Matrix, Pointer, column_sums, copied, gemm, launch, pointer,
};
use crate::scaled::Scaled;
use crate::tape::{record_storage, tracked};

/// Logits that are held at one time.
const LOGITS: usize = 1 << 25;

/// As [`cross_entropy`](super::cross_entropy).
pub(super) fn of_logits<T: Real>(
    device: &CudaDevice,
    logits: &Tensor,
    targets: &[u32],
    objective: &Objective,
) -> Result<Tensor> {
    let (n, classes) = logits.dims2()?;
    let track = tracked([logits]);
    let work = copied::<T>(device, logits)?.into_tensor(logits.shape());
    let rows = Rows::new(device, targets, false)?;
    rows.compute::<T>(
        device,
        pointer::<T>(&work)?,
        0..n,
        classes,
        objective,
        track,
    )?;
    let node = Scaled::<T>::new("cross-entropy", [track.then_some(work)]);
    let loss = rows.loss::<T>(device, objective)?;
    record_storage(node, &[logits], loss.into_storage(), ())
}

/// As [`linear_cross_entropy`](super::linear_cross_entropy).
pub(super) fn of_linear<T: Real>(
    device: &CudaDevice,
    head: &Head,
    args: &[&Tensor],
    targets: &[u32],
    objective: &Objective,
) -> Result<Tensor> {
    let Head {
        d,
        classes,
        precision,
        ..
    } = *head;
    let room = |arg: &&Tensor| {
        let room = || Buffer::<T>::zeros(device, arg.elem_count());
        arg.track_op().then(room).transpose()
    };
    let grads = args.iter().map(room).collect::<Result<Vec<_>>>()?;
    let of = |arg: usize| grads.get(arg)?.as_ref().map(Buffer::pointer);
    let rows = Rows::new(device, targets, false)?;
    let track = tracked(args.iter().copied());
    let (x, w) = (pointer::<T>(args[0])?, pointer::<T>(args[1])?);
    chunks::<T>(device, head, args, |chunk, logits| {
        let n = chunk.len();
        rows.compute::<T>(device, logits, chunk.clone(), classes, objective, track)?;
        let g = Matrix::new(logits, n, classes);
        if let Some(dx) = of(0) {
            let dx = Matrix::new(dx.at::<T>(chunk.start * d), n, d);
            gemm::<T>(device, precision, dx, false, g, Matrix::new(w, classes, d))?;
        }
        if let Some(dw) = of(1) {
            let x = Matrix::new(x.at::<T>(chunk.start * d), n, d);
            gemm::<T>(
                device,
                precision,
                Matrix::new(dw, classes, d),
                true,
                g.t(),
                x,
            )?;
        }
        if let Some(dbias) = of(2) {
            column_sums::<T>(device, logits, n, classes, dbias, true)?;
        }
        Ok(())
    })?;
    let loss = rows.loss::<T>(device, objective)?;
    let grads = grads.into_iter().zip(args);
    let grads = grads.map(|(grad, arg)| grad.map(|grad| grad.into_tensor(arg.shape())));
    let node = Scaled::<T>::new("cross-entropy", grads);
    record_storage(node, args, loss.into_storage(), ())
}

/// As [`linear_cross_entropy_eval`](super::linear_cross_entropy_eval).
pub(super) fn score<T: Real>(
    device: &CudaDevice,
    head: &Head,
    args: &[&Tensor],
    targets: &[u32],
    objective: &Objective,
) -> Result<Score> {
    let rows = Rows::new(device, targets, true)?;
    chunks::<T>(device, head, args, |chunk, logits| {
        rows.compute::<T>(device, logits, chunk, head.classes, objective, false)
    })?;
    let correct = match &rows.correct {
        Some(correct) => correct.to_host()?,
        None => Vec::new(),
    };
    Ok(Score {
        loss: rows.losses.to_host()?.iter().sum(),
        n_valid: objective.n_valid,
        n_correct: correct.iter().map(|&correct| correct as usize).sum(),
    })
}

/// As [`argmax_rows`](super::argmax_rows).
pub(super) fn argmax<T: Real>(device: &CudaDevice, x: &Tensor) -> Result<Vec<u32>> {
    let (n, width) = x.dims2()?;
    let columns = Buffer::<u32>::new(device, n)?;
    let args = [
        pointer::<T>(x)?.into(),
        columns.pointer().into(),
        n.into(),
        width.into(),
    ];
    launch::<T>(device, "argmax_rows", Grid::warps(n), &args)?;
    columns.to_host()
}

/// Calls `visit(rows, their logits)` chunk by chunk; `args` are `x`, `w` and the bias.
fn chunks<T: Real>(
    device: &CudaDevice,
    head: &Head,
    args: &[&Tensor],
    mut visit: impl FnMut(Range<usize>, Pointer) -> Result<()>,
) -> Result<()> {
    let Head {
        n,
        d,
        classes,
        precision,
    } = *head;
    let step = (LOGITS / classes.max(1))
        .clamp(128, n.max(128))
        .min(n.max(1));
    let logits = Buffer::<T>::new(device, step * classes)?;
    let (x, w) = (pointer::<T>(args[0])?, pointer::<T>(args[1])?);
    let bias = args.get(2).map(|bias| pointer::<T>(bias)).transpose()?;
    for first in (0..n).step_by(step) {
        let chunk = first..n.min(first + step);
        let x = Matrix::new(x.at::<T>(first * d), chunk.len(), d);
        let y = Matrix::new(logits.pointer(), chunk.len(), classes);
        gemm::<T>(
            device,
            precision,
            y,
            false,
            x,
            Matrix::new(w, classes, d).t(),
        )?;
        if let Some(bias) = bias {
            let n = chunk.len() * classes;
            let args = [
                logits.pointer().into(),
                bias.into(),
                n.into(),
                classes.into(),
            ];
            launch::<T>(device, "add_bias", Grid::elements(n), &args)?;
        }
        visit(chunk, logits.pointer())?;
    }
    Ok(())
}

/// What is known of each row.
struct Rows {
    targets: Buffer<u32>,
    losses: Buffer<f64>,
    /// Whether the largest logit is the target's, where it is asked.
    correct: Option<Buffer<u32>>,
}

impl Rows {
    fn new(device: &CudaDevice, targets: &[u32], ask_correct: bool) -> Result<Self> {
        let n = targets.len();
        let correct = ask_correct.then(|| Buffer::new(device, n)).transpose()?;
        Ok(Self {
            targets: Buffer::from_host(device, targets)?,
            losses: Buffer::new(device, n)?,
            correct,
        })
    }

    /// Reads the logits of the rows `chunk`; over them comes their gradient, if `gradient`.
    fn compute<T: Element>(
        &self,
        device: &CudaDevice,
        logits: Pointer,
        chunk: Range<usize>,
        classes: usize,
        objective: &Objective,
        gradient: bool,
    ) -> Result<()> {
        let correct = self.correct.as_ref().map(Buffer::pointer);
        let args = [
            logits.into(),
            self.targets.pointer().at::<u32>(chunk.start).into(),
            self.losses.pointer().at::<f64>(chunk.start).into(),
            correct
                .map_or(Pointer::NULL, |at| at.at::<u32>(chunk.start))
                .into(),
            chunk.len().into(),
            classes.into(),
            Arg::I64(objective.ignore_index.map_or(-1, i64::from)),
            T::arg(objective.smoothing),
            T::arg(objective.scale),
            gradient.into(),
        ];
        launch::<T>(
            device,
            "cross_entropy_rows",
            Grid::warps(chunk.len()),
            &args,
        )
    }

    /// The losses of all rows, added up and scaled.
    fn loss<T: Element>(&self, device: &CudaDevice, objective: &Objective) -> Result<Buffer<T>> {
        let sum = Buffer::<T>::new(device, 1)?;
        let args = [
            self.losses.pointer().into(),
            self.losses.len().into(),
            Arg::F64(objective.scale),
            sum.pointer().into(),
        ];
        launch::<T>(device, "scaled_sum", Grid::blocks(1, 1024), &args)?;
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use testkit::{rand_ids, randn};

    use super::super::{
        CrossEntropy, argmax_rows, cross_entropy, linear_cross_entropy, linear_cross_entropy_eval,
    };
    use super::*;
    use crate::cuda::agree::{agree, gpu};

    fn objectives() -> [CrossEntropy; 3] {
        let plain = CrossEntropy::default();
        [
            plain,
            CrossEntropy {
                label_smoothing: 0.2,
                ..plain
            },
            CrossEntropy {
                ignore_index: Some(0),
                divisor: Some(7.0),
                ..plain
            },
        ]
    }

    #[test]
    #[ignore = "needs a GPU"]
    fn losses_agree_with_the_cpu() -> Result<()> {
        for (n, classes) in [(1, 2), (5, 3), (70, 65), (33, 1000)] {
            let targets: Arc<[u32]> = rand_ids(3, n, classes as u32).into();
            for objective in objectives() {
                let logits: [&[usize]; 1] = [&[n, classes]];
                agree(&logits, |v| {
                    cross_entropy(&v[0], targets.clone(), &objective)
                })?;
                let d = 9;
                let all: [&[usize]; 3] = [&[n, d], &[classes, d], &[classes]];
                agree(&all, |v| {
                    linear_cross_entropy(&v[0], &v[1], Some(&v[2]), targets.clone(), &objective)
                })?;
                agree(&all[..2], |v| {
                    linear_cross_entropy(&v[0], &v[1], None, targets.clone(), &objective)
                })?;
            }
        }
        Ok(())
    }

    #[test]
    #[ignore = "needs a GPU"]
    fn scores_and_largest_columns_are_those_of_the_cpu() -> Result<()> {
        let (x, w) = (randn(1, (200, 8))?, randn(2, (40, 8))?);
        let targets = rand_ids(3, 200, 40);
        let objective = CrossEntropy {
            ignore_index: Some(5),
            ..CrossEntropy::default()
        };
        let want = linear_cross_entropy_eval(&x, &w, None, &targets, &objective)?;
        let (on_gpu, w_on_gpu) = (x.to_device(&gpu()?)?, w.to_device(&gpu()?)?);
        let got = linear_cross_entropy_eval(&on_gpu, &w_on_gpu, None, &targets, &objective)?;
        assert_eq!((got.n_valid, got.n_correct), (want.n_valid, want.n_correct));
        assert!(
            (got.loss - want.loss).abs() < 1e-9 * want.loss,
            "{got:?} {want:?}"
        );
        let ties = (&x * 2.0)?.round()?;
        assert_eq!(argmax_rows(&ties.to_device(&gpu()?)?)?, argmax_rows(&ties)?);
        Ok(())
    }
}
