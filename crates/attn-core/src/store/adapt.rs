//! Parameters of low-rank adapters.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::Init;
use candle_nn::var_builder::SimpleBackend;

use super::ParamStore;
use crate::lora::{self, Lora};

impl ParamStore {
    /// Lets the projection `module`, such as `blocks.0.attn.wq`, of layers that are made
    /// afterwards have an adapter: `{module}.lora_a.weight`, `[rank, d_in]`, and
    /// `{module}.lora_b.weight`, `[d_out, rank]`, are parameters like all others.
    ///
    /// Unless they were put there by [`ParamStore::insert`], `a` is drawn from
    /// U(-1/√d_in, 1/√d_in) and `b` is zero, as in PEFT: the adapter starts as nothing.
    ///
    /// # Errors
    ///
    /// If what was inserted has another shape.
    pub fn adapt(&self, module: &str, d_in: usize, d_out: usize, lora: &Lora) -> Result<()> {
        let bound = 1.0 / (d_in as f64).sqrt();
        let (lo, up) = (-bound, bound);
        for (name, shape, init) in [
            (lora::A, (lora.rank(), d_in), Init::Uniform { lo, up }),
            (lora::B, (d_out, lora.rank()), Init::Const(0.0)),
        ] {
            let name = format!("{module}.{name}");
            let (dtype, device) = (self.dtype(), self.device());
            SimpleBackend::get(self, shape.into(), &name, init, dtype, device)?;
        }
        let settings = [lora.scale(), lora.dropout()];
        let settings = Tensor::new(&settings, &Device::Cpu)?.to_dtype(DType::F64)?;
        let name = format!("{module}.{}", lora::SETTINGS);
        self.lock().settings.insert(name, settings);
        Ok(())
    }

    /// What the adapter called `name` is told; see [`lora::SETTINGS`].
    pub(super) fn settings(&self, name: &str) -> Option<Tensor> {
        self.lock().settings.get(name).cloned()
    }
}
