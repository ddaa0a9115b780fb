//! Keys and values of earlier rows, so that a decoding step computes its own rows only.

use std::ops::Range;
use std::result::Result as StdResult;

use candle_core::{Result, Tensor, bail};

use crate::mask::{Mask, MaskError, Pattern};

/// Keys and values that a [`Stack`](crate::Stack) has computed for a few sequences.
///
/// Grows by doubling: a row is copied a constant number of times on average. For
/// evaluation only; nothing here is on the tape.
#[derive(Debug)]
pub struct KvCache {
    pub(crate) layers: Vec<LayerCache>,
    lens: Vec<u32>,
}

impl KvCache {
    /// An empty cache for a stack of `n_layers` blocks and `n_sequences` sequences.
    pub fn new(n_layers: usize, n_sequences: usize) -> Self {
        let layer = || LayerCache {
            sequences: (0..n_sequences).map(|_| Default::default()).collect(),
        };
        Self {
            layers: (0..n_layers).map(|_| layer()).collect(),
            lens: vec![0; n_sequences],
        }
    }

    /// How many rows of each sequence are cached.
    pub fn lens(&self) -> &[u32] {
        &self.lens
    }

    /// The mask of the step that adds `new[b]` rows to sequence `b`.
    ///
    /// # Errors
    ///
    /// As [`Mask::decode`].
    pub fn mask(&self, pattern: Pattern, new: &[u32]) -> StdResult<Mask, MaskError> {
        Mask::decode(pattern, &self.lens, new)
    }

    /// Forgets everything but keeps the memory.
    pub fn clear(&mut self) {
        self.lens.fill(0);
    }

    /// Checks that `mask` continues what is cached.
    pub(crate) fn check(&self, mask: &Mask) -> Result<()> {
        let past = segments(mask).map(|(queries, keys)| (keys.len() - queries.len()) as u32);
        if !past.eq(self.lens.iter().copied()) {
            bail!("the mask does not continue the {:?} cached rows", self.lens);
        }
        Ok(())
    }

    /// Takes the rows of a finished step for cached.
    pub(crate) fn advance(&mut self, mask: &Mask) {
        self.lens = segments(mask).map(|(_, keys)| keys.len() as u32).collect();
    }
}

/// Keys and values of one layer.
#[derive(Debug)]
pub(crate) struct LayerCache {
    sequences: Vec<(Rows, Rows)>,
}

impl LayerCache {
    /// Adds the new keys and values behind those of their sequences; returns all of
    /// them, packed.
    ///
    /// # Shapes
    ///
    /// - `k`, `v`: `[n_queries, d]`
    /// - returns: two of `[n_keys, d]`
    pub(crate) fn extend(
        &mut self,
        k: &Tensor,
        v: &Tensor,
        mask: &Mask,
    ) -> Result<(Tensor, Tensor)> {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for ((new, all), (k_rows, v_rows)) in segments(mask).zip(&mut self.sequences) {
            let past = all.len() - new.len();
            keys.push(k_rows.extend(past, &k.narrow(0, new.start, new.len())?)?);
            values.push(v_rows.extend(past, &v.narrow(0, new.start, new.len())?)?);
        }
        Ok((joined(&keys)?, joined(&values)?))
    }
}

/// The rows of one sequence, in a buffer that is longer.
#[derive(Debug, Default)]
struct Rows(Option<Tensor>);

impl Rows {
    /// Puts `new` behind the first `past` rows; returns a view of all.
    fn extend(&mut self, past: usize, new: &Tensor) -> Result<Tensor> {
        let (n, d) = new.dims2()?;
        let capacity = self.0.as_ref().map_or(0, |buffer| buffer.dims()[0]);
        let buffer = match &self.0 {
            Some(buffer) if past + n <= capacity => buffer.clone(),
            old => {
                let capacity = (past + n).next_power_of_two();
                let buffer = Tensor::zeros((capacity, d), new.dtype(), new.device())?;
                if let Some(old) = old
                    && past > 0
                {
                    buffer.slice_set(&old.narrow(0, 0, past)?, 0, 0)?;
                }
                buffer
            }
        };
        if n > 0 {
            buffer.slice_set(&new.contiguous()?, 0, past)?;
        }
        let rows = buffer.narrow(0, 0, past + n)?;
        self.0 = Some(buffer);
        Ok(rows)
    }
}

/// One sequence needs no copy.
fn joined(rows: &[Tensor]) -> Result<Tensor> {
    match rows {
        [only] => Ok(only.clone()),
        rows => Tensor::cat(rows, 0),
    }
}

/// Query rows and key rows of every sequence.
fn segments(mask: &Mask) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let range = |walls: &[u32]| walls[0] as usize..walls[1] as usize;
    let queries = mask.cu_seqlens().windows(2).map(range);
    queries.zip(mask.key_cu_seqlens().windows(2).map(range))
}
