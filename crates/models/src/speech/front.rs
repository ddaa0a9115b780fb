//! From frames to the positions that attend.

use std::sync::Arc;

use attn_core::input::Rows;
use attn_core::{Linear, Mask};
use candle_core::{Error, Result, Tensor, bail};
use candle_nn::init::DEFAULT_KAIMING_NORMAL;
use candle_nn::{Init, VarBuilder};
use kernels::{Activation, Window, Windows};

use crate::{Front, SpeechConfig};

/// Frames to positions.
///
/// With [`Front::Windows`] neighbouring frames are mapped to one position: frame stacking,
/// where the windows do not overlap, else one convolution over time. Position `i` of a
/// recording reads the frames from `i · stride`, `window` of them; behind the last frame
/// stand zeros, which is the mean of normalised features.
///
/// With [`Front::Convolutions`] two convolutions over time, each three wide around every
/// second row, with a GELU behind each, as in Whisper: Radford et al. 2022, §2.2
/// <https://arxiv.org/abs/2212.04356>, where only the second has a stride. Position `i` reads
/// the frames from `4 i − 3` to `4 i + 3`; zeros stand at both ends, before each of the two.
///
/// A recording of `n` frames has `⌈n / stride⌉` positions, with convolutions `⌈n / 4⌉`.
///
/// Parameters, under the prefix of the builder: `weight`, `[d_model, window · n_features]`;
/// or `first.weight`, `[d_model, 3 · n_features]`, and `second.weight`,
/// `[d_model, 3 · d_model]`; and, if they have one, their `bias`.
#[derive(Debug, Clone)]
pub struct FrontEnd {
    map: Map,
    n_features: usize,
    window: usize,
    stride: usize,
}

#[derive(Debug, Clone)]
enum Map {
    Windows(Linear),
    Convolutions(Linear, Linear),
}

/// Rows that a convolution covers, and rows from one to the next.
const WIDTH: usize = 3;
const STRIDE: usize = 2;

impl FrontEnd {
    /// Creates the layer that `config` asks for, taking its parameters from `vb`.
    pub fn new(config: &SpeechConfig, d_model: usize, bias: bool, vb: VarBuilder) -> Result<Self> {
        let n_features = config.n_features().map_err(Error::wrap)?;
        let (window, stride) = (config.window(), config.stride());
        let map = match config.front() {
            Front::Windows => {
                let d_in = window * n_features;
                Map::Windows(Linear::new(d_in, d_model, bias, first_values(d_in), vb)?)
            }
            Front::Patches => bail!("patches are no frames side by side"),
            Front::Convolutions => {
                let (d_in, d_mid) = (WIDTH * n_features, WIDTH * d_model);
                let init = first_values(d_in);
                Map::Convolutions(
                    Linear::new(d_in, d_model, bias, init, vb.pp("first"))?,
                    Linear::new(
                        d_mid,
                        d_model,
                        bias,
                        DEFAULT_KAIMING_NORMAL,
                        vb.pp("second"),
                    )?,
                )
            }
        };
        Ok(Self {
            map,
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
        check(frames, mask, self.n_features)?;
        let walls = mask.cu_seqlens();
        let lens: Vec<usize> = lengths(walls).map(|n| self.n_positions(n)).collect();
        let embed = match &self.map {
            Map::Windows(embed) => embed,
            Map::Convolutions(first, second) => {
                let weight = first.weight();
                let x = frames
                    .to_tensor(weight.device())?
                    .to_dtype(weight.dtype())?;
                let (x, walls) = convolve(first, &x, walls)?;
                let (x, _) = convolve(second, &x, &walls)?;
                return Ok((x, mask.with_lens(lens).map_err(Error::wrap)?));
            }
        };
        let (weight, width) = (embed.weight(), self.window * self.n_features);
        let (device, dtype) = (weight.device(), weight.dtype());
        if (self.window, self.stride) == (1, 1) {
            let x = frames.to_tensor(device)?.to_dtype(dtype)?;
            return Ok((embed.forward_with(&x, None, None)?, mask.clone()));
        }
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
        Ok((embed.forward_with(&x, None, None)?, mask))
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
            // Convolutions lie around their frame, windows begin with theirs.
            let middle = match self.map {
                Map::Windows(_) => self.window / 2,
                Map::Convolutions(..) => 0,
            };
            (0..self.n_positions(end - start))
                .map(move |i| (start + i * stride + middle).min(end - 1))
        };
        walls.windows(2).flat_map(of).collect()
    }
}

/// One convolution and its GELU, and the walls behind it.
fn convolve(conv: &Linear, x: &Tensor, walls: &Arc<[u32]>) -> Result<(Tensor, Arc<[u32]>)> {
    let windows = Windows::over_segments(walls.clone(), Window::around(WIDTH, STRIDE))?;
    let rows = kernels::unfold(x, &windows)?;
    let x = conv.forward_with(&rows, Some(Activation::GeluErf), None)?;
    Ok((x, windows.cu_seqlens()))
}

/// Refuses frames of another width than the model reads, and a mask over others.
pub(super) fn check(frames: &Rows, mask: &Mask, n_features: usize) -> Result<()> {
    let (width, n_rows) = (frames.width(), frames.n_rows());
    if width != n_features {
        bail!("frames of {width} features, but the model reads {n_features}");
    }
    if n_rows != mask.n_queries() {
        bail!(
            "{n_rows} frames, but the mask has {} rows",
            mask.n_queries()
        );
    }
    Ok(())
}

/// First values of what reads frames: features have variance 1, and so has what comes out.
pub(super) fn first_values(d_in: usize) -> Init {
    Init::Randn {
        mean: 0.0,
        stdev: 1.0 / (d_in as f64).sqrt(),
    }
}

fn lengths(walls: &[u32]) -> impl Iterator<Item = usize> {
    walls.windows(2).map(|wall| (wall[1] - wall[0]) as usize)
}
