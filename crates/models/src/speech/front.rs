//! From frames to the positions that attend.

use attn_core::input::Rows;
use attn_core::{Linear, Mask};
use candle_core::{Error, Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};

/// Windows of neighbouring frames, each mapped to one position: frame stacking, where the
/// windows do not overlap, else one convolution over time.
///
/// Position `i` of a recording reads the frames from `i · stride`, `window` of them; behind
/// the last frame stand zeros, which is the mean of normalised features. A recording of `n`
/// frames has `⌈n / stride⌉` positions.
///
/// Parameters, under the prefix of the builder: `weight`, `[d_model, window · n_features]`,
/// and, if it has one, `bias`.
#[derive(Debug, Clone)]
pub struct FrontEnd {
    embed: Linear,
    n_features: usize,
    window: usize,
    stride: usize,
}

impl FrontEnd {
    /// Creates the layer, taking its parameters from `vb`; `window` is at least `stride`.
    pub fn new(
        (n_features, d_model): (usize, usize),
        (window, stride): (usize, usize),
        bias: bool,
        init: Init,
        vb: VarBuilder,
    ) -> Result<Self> {
        Ok(Self {
            embed: Linear::new(window * n_features, d_model, bias, init, vb)?,
            n_features,
            window,
            stride,
        })
    }

    /// The positions of `frames`, and the mask over them.
    ///
    /// # Shapes
    ///
    /// - `frames`: `[n, n_features]`, the packed recordings of `mask`
    /// - returns: `[m, d_model]`, with the same pattern over `m` positions
    ///
    /// # Errors
    ///
    /// Frames of another width, or a mask over another number of them.
    pub fn forward(&self, frames: &Rows, mask: &Mask) -> Result<(Tensor, Mask)> {
        if frames.width() != self.n_features {
            bail!(
                "frames of {} features, but the model reads {}",
                frames.width(),
                self.n_features
            );
        }
        if frames.n_rows() != mask.n_queries() {
            bail!(
                "{} frames, but the mask has {} rows",
                frames.n_rows(),
                mask.n_queries()
            );
        }
        let (weight, width) = (self.embed.weight(), self.window * self.n_features);
        let (device, dtype) = (weight.device(), weight.dtype());
        if (self.window, self.stride) == (1, 1) {
            let x = frames.to_tensor(device)?.to_dtype(dtype)?;
            return Ok((self.embed.forward_with(&x, None, None)?, mask.clone()));
        }
        let walls = mask.cu_seqlens();
        let lens: Vec<usize> = lengths(walls).map(|n| self.n_positions(n)).collect();
        let n_positions: usize = lens.iter().sum();
        let mut windows = vec![0f32; n_positions * width];
        let mut rest = windows.chunks_exact_mut(width);
        for (wall, &n_windows) in walls.windows(2).zip(&lens) {
            let (start, end) = (wall[0] as usize, wall[1] as usize);
            for (i, window) in rest.by_ref().take(n_windows).enumerate() {
                let first = start + i * self.stride;
                let last = (first + self.window).min(end);
                let covered = &frames.values()[first * self.n_features..last * self.n_features];
                window[..covered.len()].copy_from_slice(covered);
            }
        }
        let x = Tensor::from_vec(windows, (n_positions, width), device)?.to_dtype(dtype)?;
        let mask = mask.with_lens(lens).map_err(Error::wrap)?;
        Ok((self.embed.forward_with(&x, None, None)?, mask))
    }

    /// Positions of a recording of `n` frames.
    pub fn n_positions(&self, n: usize) -> usize {
        n.div_ceil(self.stride)
    }

    /// The frame, among all, in the middle of what each position reads.
    pub(super) fn middles(&self, walls: &[u32]) -> Vec<usize> {
        let of = |wall: &[u32]| {
            let (start, end) = (wall[0] as usize, wall[1] as usize);
            let stride = self.stride;
            let middle = self.window / 2;
            (0..self.n_positions(end - start))
                .map(move |i| (start + i * stride + middle).min(end - 1))
        };
        walls.windows(2).flat_map(of).collect()
    }
}

fn lengths(walls: &[u32]) -> impl Iterator<Item = usize> {
    walls.windows(2).map(|wall| (wall[1] - wall[0]) as usize)
}
