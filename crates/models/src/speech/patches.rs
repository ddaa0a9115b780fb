//! Spectrograms as rows: one a patch.

use attn_core::input::Rows;
use attn_core::{Embedding, Linear, Mask};
use candle_core::{Error, Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};

use super::front::first_values;
use crate::{PatchConfig, SpeechConfig};

/// Cuts spectrograms of one length into squares that may overlap, maps each to a row, and
/// puts class tokens before them: the audio spectrogram transformer, Gong et al. 2021, §2.1
/// <https://arxiv.org/abs/2104.01778>.
///
/// A recording is cut to `n_frames` frames or filled up with `fill`. Patch `(i, j)` covers
/// the features from `i · feature_stride` and the frames from `j · stride`, `window` of both;
/// what is left behind the last patch is not read. Rows of a recording are its class tokens,
/// then the patches of its lowest features by time, and so on upwards.
///
/// Parameters, under the prefix of the builder: `embed.weight`, `[d_model, window · window]`,
/// the numbers of a patch feature by feature, and `embed.bias`; `class_token.weight` and, if
/// there are two, `distillation_token.weight`, both `[1, d_model]`.
#[derive(Debug, Clone)]
pub struct Patches {
    embed: Linear,
    class_tokens: Vec<Embedding>,
    grid: Grid,
}

/// Where the patches lie.
#[derive(Debug, Clone, Copy)]
struct Grid {
    n_features: usize,
    fill: f32,
    side: usize,
    /// Features and frames from one patch to the next.
    strides: (usize, usize),
    /// Patches along features and frames.
    counts: (usize, usize),
}

impl Patches {
    /// Creates the layer that `config` asks for, taking its parameters from `vb`; class
    /// tokens begin with a deviation of `init_std`.
    ///
    /// # Errors
    ///
    /// A front without patches, sizes that are left to the data, and those of the builder.
    pub fn new(
        config: &SpeechConfig,
        d_model: usize,
        bias: bool,
        init_std: f64,
        vb: VarBuilder,
    ) -> Result<Self> {
        let counts = config.patch_grid().map_err(Error::wrap)?;
        let (Some(counts), Some(patches)) = (counts, config.patches()) else {
            bail!("the front end has no patches");
        };
        let side = config.window();
        let d_in = side * side;
        let token = |name: &&str| {
            let init = Init::Randn {
                mean: 0.0,
                stdev: init_std,
            };
            Embedding::new(1, d_model, init, vb.pp(name))
        };
        let names = ["class_token", "distillation_token"];
        Ok(Self {
            embed: Linear::new(d_in, d_model, bias, first_values(d_in), vb.pp("embed"))?,
            class_tokens: (names.iter().take(patches.class_tokens()))
                .map(token)
                .collect::<Result<_>>()?,
            grid: Grid {
                n_features: config.n_features().map_err(Error::wrap)?,
                fill: PatchConfig::fill(patches) as f32,
                side,
                strides: (patches.feature_stride(), config.stride()),
                counts,
            },
        })
    }

    /// The rows of `frames`, and the mask over them.
    ///
    /// # Shapes
    ///
    /// - `frames`: `[n, n_features]`, the packed recordings of `mask`
    /// - returns: `[batch · n_rows, d_model]`, with the same pattern over them
    ///
    /// # Errors
    ///
    /// Frames of another width, or a mask over another number of them.
    pub fn forward(&self, frames: &Rows, mask: &Mask) -> Result<(Tensor, Mask)> {
        super::front::check(frames, mask, self.grid.n_features)?;
        let batch = mask.n_sequences();
        let weight = self.embed.weight();
        let rows = self.grid.rows(frames.values(), mask.cu_seqlens());
        let shape = (batch * self.grid.n_patches(), self.grid.side.pow(2));
        let rows = Tensor::from_vec(rows, shape, weight.device())?.to_dtype(weight.dtype())?;
        let x = self.embed.forward_with(&rows, None, None)?;
        let n_rows = self.class_tokens.len() + self.grid.n_patches();
        let lens = std::iter::repeat_n(n_rows, batch);
        let mask = mask.with_lens(lens).map_err(Error::wrap)?;
        Ok((self.with_class_tokens(&x, batch)?, mask))
    }

    /// Puts the class tokens before the patches of each recording.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch · patches, d_model]`
    /// - returns: `[batch · n_rows, d_model]`
    fn with_class_tokens(&self, x: &Tensor, batch: usize) -> Result<Tensor> {
        if self.class_tokens.is_empty() {
            return Ok(x.clone());
        }
        let tokens: Vec<&Tensor> = self.class_tokens.iter().map(Embedding::weight).collect();
        kernels::prepend_rows(&tokens, x, batch)
    }
}

impl Grid {
    fn n_patches(&self) -> usize {
        self.counts.0 * self.counts.1
    }

    /// The numbers of all patches, `[batch, patches, side · side]`, of `frames` between
    /// `walls`.
    fn rows(&self, frames: &[f32], walls: &[u32]) -> Vec<f32> {
        let area = self.side * self.side;
        let mut rows = vec![self.fill; (walls.len() - 1) * self.n_patches() * area];
        let recordings = rows.chunks_exact_mut(self.n_patches() * area);
        for (wall, rows) in walls.windows(2).zip(recordings) {
            let (start, end) = (wall[0] as usize, wall[1] as usize);
            let frames = &frames[start * self.n_features..end * self.n_features];
            for (i, patch) in rows.chunks_exact_mut(area).enumerate() {
                let (up, along) = (i / self.counts.1, i % self.counts.1);
                let (feature, first) = (up * self.strides.0, along * self.strides.1);
                let there = (frames.chunks_exact(self.n_features).skip(first)).take(self.side);
                for (j, frame) in there.enumerate() {
                    let column = patch[j..].iter_mut().step_by(self.side);
                    for (slot, value) in column.zip(&frame[feature..]) {
                        *slot = *value;
                    }
                }
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use attn_core::{ParamStore, Pattern};
    use candle_core::{DType, Device};
    use testkit::{assert_close, gradcheck_all, randn, reach};

    use super::*;

    const FEATURES: usize = 5;
    const FILL: f64 = 0.75;
    /// A recording that is cut, one that is filled up, and one of the right length; what lies
    /// behind the last patch is not read.
    const WALLS: [u32; 4] = [0, 9, 10, 16];

    /// Squares of 3, one feature and two frames apart, of 6 frames: a grid of 3 by 2.
    fn layer(class_tokens: usize) -> Result<(ParamStore, Patches)> {
        let config: SpeechConfig = toml::from_str(&format!(
            "front = 'patches'\nwindow = 3\nstride = 2\nfeature_stride = 1\nn_frames = 6\n\
             n_features = {FEATURES}\nfill = {FILL}\nclass_tokens = {class_tokens}"
        ))
        .map_err(Error::wrap)?;
        let store = ParamStore::new(3, DType::F64, &Device::Cpu);
        let layer = Patches::new(&config, 3, true, 0.5, store.var_builder())?;
        let bias = store.get("embed.bias").expect("a bias");
        bias.set(&randn(9, bias.shape())?)?;
        Ok((store, layer))
    }

    fn frames(n: usize) -> Result<Rows> {
        let values = randn(1, (n * FEATURES,))?.to_vec1::<f64>()?;
        let values: Vec<f32> = values.into_iter().map(|x| x as f32).collect();
        Rows::new(values, FEATURES)
    }

    fn mask(walls: &[u32]) -> Mask {
        Mask::new(Pattern::Full, walls).expect("valid walls")
    }

    /// The definition: a convolution over features and frames, and the tokens before it.
    #[test]
    fn rows_are_those_of_plain_loops() -> Result<()> {
        for class_tokens in 0..=2 {
            let (store, layer) = layer(class_tokens)?;
            let rows = frames(16)?;
            let weight = store.get("embed.weight").expect("a weight");
            let weight = weight.to_vec2::<f64>()?;
            let bias = store.get("embed.bias").expect("a bias").to_vec1::<f64>()?;
            let mut want: Vec<Vec<f64>> = Vec::new();
            for wall in WALLS.windows(2) {
                for name in &["class_token", "distillation_token"][..class_tokens] {
                    let token = store.get(&format!("{name}.weight")).expect("a token");
                    want.push(token.to_vec2::<f64>()?.remove(0));
                }
                for feature in 0..3 {
                    for frame in [0, 2] {
                        let mut row = bias.clone();
                        for (sum, weight) in row.iter_mut().zip(&weight) {
                            for (k, weight) in weight.iter().enumerate() {
                                let (f, t) = (feature + k / 3, frame + k % 3);
                                let at = wall[0] as usize + t;
                                let x = match at < wall[1] as usize {
                                    true => f64::from(rows.values()[at * FEATURES + f]),
                                    false => FILL,
                                };
                                *sum += weight * x;
                            }
                        }
                        want.push(row);
                    }
                }
            }
            let (got, over) = layer.forward(&rows, &mask(&WALLS))?;
            assert_eq!(over.n_queries(), 3 * (class_tokens + 6));
            assert_close(&got, &Tensor::new(want, &Device::Cpu)?, 1e-12)?;
        }
        Ok(())
    }

    #[test]
    fn gradients_are_those_of_differences_and_reach_every_parameter() -> Result<()> {
        let (store, layer) = layer(2)?;
        let rows = frames(16)?;
        let vars = store.named_vars();
        let inputs: Vec<_> = vars
            .iter()
            .map(|(name, var)| (name.as_str(), var))
            .collect();
        assert_eq!(inputs.len(), 4);
        let forward = || Ok(layer.forward(&rows, &mask(&WALLS))?.0);
        gradcheck_all(&inputs, forward)?;
        reach(&forward()?.sqr()?.sum_all()?, inputs)
    }

    #[test]
    fn frames_behind_the_last_patch_are_not_read() -> Result<()> {
        let (_, layer) = layer(1)?;
        let long = frames(16)?;
        let cut = Rows::new(long.values()[..5 * FEATURES].to_vec(), FEATURES)?;
        let of = |rows: &Rows, n| Ok::<_, Error>(layer.forward(rows, &mask(&[0, n]))?.0);
        let (long, cut) = (of(&long, 16)?, of(&cut, 5)?);
        assert_eq!(long.to_vec2::<f64>()?, cut.to_vec2::<f64>()?);
        Ok(())
    }

    #[test]
    fn frames_of_another_width_are_refused() -> Result<()> {
        let (_, layer) = layer(0)?;
        let wide = Rows::new(vec![0.0; 12], 6)?;
        let said = layer
            .forward(&wide, &mask(&[0, 2]))
            .unwrap_err()
            .to_string();
        assert!(
            said.contains("frames of 6 features, but the model reads 5"),
            "{said}"
        );
        Ok(())
    }
}
