//! Numbers that belong to parameters and lie in the memory that these are in: gradients, the
//! moments of an optimiser, an average.

use std::borrow::Cow;
use std::ops::Range;

use candle_core::{Result, Var, bail};

#[cfg(feature = "cuda")]
use crate::cuda::Buffer;

/// Numbers in the memory of the processor or of a GPU.
#[derive(Debug)]
pub(crate) enum Memory {
    /// In that of the processor.
    Host(Vec<f32>),
    /// In that of a GPU.
    #[cfg(feature = "cuda")]
    Gpu(Buffer<f32>),
}

impl Default for Memory {
    fn default() -> Self {
        Self::Host(Vec::new())
    }
}

impl Memory {
    /// `values` in the memory that `param` is in.
    pub(crate) fn beside(param: Option<&Var>, values: Vec<f32>) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if let Some(device) = param.and_then(|param| crate::cuda::device_of(param)) {
            return Ok(Self::Gpu(Buffer::from_host(device, &values)?));
        }
        debug_assert!(param.is_none_or(|param| param.device().is_cpu()));
        Ok(Self::Host(values))
    }

    /// `len` zeros in the memory that `param` is in.
    pub(crate) fn zeros_beside(param: Option<&Var>, len: usize) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if let Some(device) = param.and_then(|param| crate::cuda::device_of(param)) {
            return Ok(Self::Gpu(Buffer::zeros(device, len)?));
        }
        Self::beside(param, vec![0.0; len])
    }

    /// The values, copied if they are on a GPU.
    pub(crate) fn to_host(&self) -> Result<Cow<'_, [f32]>> {
        self.part_to_host(0..self.len())
    }

    /// The values in `part`, copied if they are on a GPU.
    pub(crate) fn part_to_host(&self, part: Range<usize>) -> Result<Cow<'_, [f32]>> {
        match self {
            Self::Host(values) => Ok(Cow::Borrowed(&values[part])),
            #[cfg(feature = "cuda")]
            Self::Gpu(values) => Ok(Cow::Owned(values.part_to_host(part)?)),
        }
    }

    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Host(values) => values.len(),
            #[cfg(feature = "cuda")]
            Self::Gpu(values) => values.len(),
        }
    }

    /// Takes over `values`, which must be as many.
    pub(crate) fn set(&mut self, values: Vec<f32>) -> Result<()> {
        if values.len() != self.len() {
            bail!("{} numbers in place of {}", values.len(), self.len());
        }
        match self {
            Self::Host(own) => *own = values,
            #[cfg(feature = "cuda")]
            Self::Gpu(own) => *own = Buffer::from_host(own.device(), &values)?,
        }
        Ok(())
    }
}
