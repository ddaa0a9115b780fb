//! Whole models against the values that `scripts/golden.py` had from PyTorch: logits,
//! loss, and the gradient of every parameter, by name.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use attn_core::{Mask, ParamStore, Pass};
use candle_core::{DType, Device, Tensor};
use models::{Input, LossOptions, Model, ModelConfig};
use testkit::assert_close;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// GPT-2: learnt positions, norm first, GELU by tanh, tied head.
const GPT: &str = r#"
    kind = "text-lm"
    d_model = 16
    n_heads = 2
    n_layers = 2
    d_ff = 32
    position = "learnt"
    max_seq_len = 8
    vocab_size = 13
"#;

/// Llama with the norms of queries and keys of Qwen 3.
const LLAMA: &str = r#"
    kind = "text-lm"
    d_model = 16
    n_heads = 4
    n_kv_heads = 2
    n_layers = 2
    d_ff = 24
    position = "rotary"
    norm = "rms"
    qk_norm = true
    activation = "swiglu"
    bias = false
    tied = false
    max_seq_len = 8
    vocab_size = 13
"#;

/// The encoder of Vaswani et al. 2017, with GELU.
const CLASSIFIER: &str = r#"
    kind = "text-classifier"
    d_model = 16
    n_heads = 2
    n_layers = 2
    d_ff = 32
    position = "sinusoidal"
    norm_placement = "post"
    activation = "gelu_erf"
    pooling = "mean"
    n_classes = 3
    max_seq_len = 8
    vocab_size = 13
"#;

/// The model that `config` describes, with the parameters of the file, makes of the
/// file's batch what PyTorch made of it.
fn check(name: &str, config: &str) -> Result<()> {
    let config: ModelConfig = toml::from_str(config)?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let path = path.join(format!("{name}.safetensors"));
    for dtype in [DType::F32, DType::F64] {
        let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu)?;
        let mut take = |name: &str| {
            tensors
                .remove(name)
                .ok_or(format!("no `{name}` in the file"))
        };
        let (want_logits, want_loss) = (take("logits")?, take("loss")?);
        let ids = |x: Tensor| -> Result<Arc<[u32]>> { Ok(x.to_vec1::<u32>()?.into()) };
        let input = Input::Tokens(ids(take("ids")?)?);
        let (walls, targets) = (ids(take("cu_seqlens")?)?, ids(take("targets")?)?);
        let (mut params, mut want_grads) = (BTreeMap::new(), BTreeMap::new());
        for (name, x) in tensors {
            match name.strip_prefix("grad.") {
                Some(name) => want_grads.insert(name.to_string(), x),
                None => params.insert(name, x.to_dtype(dtype)?),
            };
        }

        let store = ParamStore::new(0, dtype, &Device::Cpu);
        let model = Model::build(&config, store.var_builder())?;
        store.load(&params)?;
        let mask = Mask::new(model.pattern().clone(), walls)?;
        let logits = model.logits(&input, &mask, Pass::eval())?;
        let loss = model.loss(
            &input,
            &mask,
            &targets.into(),
            LossOptions::default(),
            Pass::eval(),
        )?;
        let grads = loss.backward()?;

        let tolerance = tolerance(dtype);
        assert_close(&logits, &want_logits, tolerance)?;
        assert_close(&loss, &want_loss, tolerance)?;
        for (name, var) in store.named_vars() {
            let grad = grads
                .get(&var)
                .ok_or(format!("no gradient reached {name}"))?;
            println!("gradient of {name}, {dtype:?}"); // shown with a failure
            assert_close(grad, &want_grads[&name], tolerance)?;
        }
    }
    Ok(())
}

/// In `f64` the rounding of the file, half an ulp of `f32`, is all. In `f32` some forty
/// operations lie between a token and the loss, and as many on the way back; what each
/// adds, an ulp or two, piles up as in a random walk.
fn tolerance(dtype: DType) -> f64 {
    let ulp = f64::from(f32::EPSILON);
    if dtype == DType::F64 {
        0.6 * ulp
    } else {
        32.0 * ulp
    }
}

#[test]
fn gpt_agrees_with_pytorch() -> Result<()> {
    check("gpt", GPT)
}

#[test]
fn llama_agrees_with_pytorch() -> Result<()> {
    check("llama", LLAMA)
}

#[test]
fn a_post_norm_classifier_agrees_with_pytorch() -> Result<()> {
    check("classifier", CLASSIFIER)
}
