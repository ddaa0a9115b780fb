//! Whole models against plain loops in `f64`.

use attn_core::{ParamStore, Pass};
use candle_core::{Result, Tensor};
use testkit::{assert_close, oracle};

use crate::made::{BERT, Batch, Outcome, classifier, encoder, lm, shaken};

/// The parameters of a store, by name.
struct Weights(ParamStore);

impl Weights {
    fn get(&self, name: &str) -> Tensor {
        self.find(name)
            .unwrap_or_else(|| panic!("no parameter {name}"))
    }

    fn find(&self, name: &str) -> Option<Tensor> {
        self.0.get(name).map(|var| var.as_detached_tensor())
    }

    fn linear(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let bias = self.find(&format!("{name}.bias"));
        oracle::linear(x, &self.get(&format!("{name}.weight")), bias.as_ref())
    }

    fn layer_norm(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let bias = self.find(&format!("{name}.bias"));
        oracle::layer_norm(x, &self.get(&format!("{name}.weight")), bias.as_ref(), 1e-5)
    }

    fn rms_norm(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        oracle::rms_norm(x, &self.get(&format!("{name}.weight")), 1e-5)
    }
}

/// GPT-2 as in its paper: learnt positions, pre-norm, GELU (tanh), tied head.
#[test]
fn a_gpt_2_is_what_its_paper_says() -> Outcome {
    let config = lm("");
    let (store, model) = shaken(&config)?;
    let batch = Batch::of(&config);
    let (mask, w) = (batch.mask(&model), Weights(store));

    let embedding = w.get("embed.weight");
    let positions = oracle::embedding(&mask.positions(), &w.get("position.weight"))?;
    let mut x = (oracle::embedding(&batch.tokens, &embedding)? + positions)?;
    for block in ["blocks.0", "blocks.1"] {
        let y = w.layer_norm(&format!("{block}.attn_norm"), &x)?;
        let [q, k, v] =
            ["wq", "wk", "wv"].map(|name| w.linear(&format!("{block}.attn.{name}"), &y));
        let heads = oracle::Attention {
            n_heads: 4,
            n_kv_heads: 4,
            scale: 0.5,
            ..Default::default()
        };
        let y = oracle::attention(&q?, &k?, &v?, &heads, |i, j| mask.allows(i, j))?;
        x = (x + w.linear(&format!("{block}.attn.wo"), &y)?)?;

        let y = w.layer_norm(&format!("{block}.mlp_norm"), &x)?;
        let y = oracle::map(
            &w.linear(&format!("{block}.mlp.up"), &y)?,
            oracle::gelu_tanh,
        )?;
        x = (x + w.linear(&format!("{block}.mlp.down"), &y)?)?;
    }
    let want = oracle::linear(&w.layer_norm("norm", &x)?, &embedding, None)?;
    assert_close(
        &model.logits(&batch.input(), &mask, Pass::eval())?,
        &want,
        1e-10,
    )?;
    Ok(())
}

/// BERT as in its paper and its code: three embeddings and a norm, post-norm blocks, GELU
/// (erf), and the first position through a dense layer with tanh.
#[test]
fn a_bert_is_what_its_paper_and_code_say() -> Outcome {
    let (store, model) = shaken(&encoder(BERT))?;
    let batch = Batch::of(&encoder(BERT));
    let (mask, w) = (batch.mask(&model), Weights(store));

    let first = oracle::embedding(&[0; 13], &w.get("token_type.weight"))?;
    let positions = oracle::embedding(&mask.positions(), &w.get("position.weight"))?;
    let x = (oracle::embedding(&batch.tokens, &w.get("embed.weight"))? + positions + first)?;
    let mut x = w.layer_norm("embed_norm", &x)?;
    for block in ["blocks.0", "blocks.1"] {
        let [q, k, v] =
            ["wq", "wk", "wv"].map(|name| w.linear(&format!("{block}.attn.{name}"), &x));
        let heads = oracle::Attention {
            n_heads: 4,
            n_kv_heads: 4,
            scale: 0.5,
            ..Default::default()
        };
        let y = oracle::attention(&q?, &k?, &v?, &heads, |i, j| mask.allows(i, j))?;
        let y = w.linear(&format!("{block}.attn.wo"), &y)?;
        x = w.layer_norm(&format!("{block}.attn_norm"), &(x + y)?)?;

        let y = oracle::map(&w.linear(&format!("{block}.mlp.up"), &x)?, oracle::gelu_erf)?;
        let y = w.linear(&format!("{block}.mlp.down"), &y)?;
        x = w.layer_norm(&format!("{block}.mlp_norm"), &(x + y)?)?;
    }
    let first = oracle::segment_first(&x, &batch.walls)?;
    let want = oracle::map(&w.linear("pooler", &first)?, oracle::tanh)?;
    assert_close(&model.vectors(&batch.input(), &mask)?, &want, 1e-10)?;
    Ok(())
}

/// Rotary, grouped heads with normed queries and keys, RMS norm after the sums, SwiGLU.
#[test]
fn a_modern_classifier_is_what_the_papers_say() -> Outcome {
    let config = classifier(
        "norm = 'rms'\nnorm_placement = 'post'\nactivation = 'swiglu'\nposition = 'rotary'\n\
         n_kv_heads = 2\nqk_norm = true",
    );
    let (store, model) = shaken(&config)?;
    let batch = Batch::of(&config);
    let (mask, w) = (batch.mask(&model), Weights(store));
    let positions = mask.positions();
    let (cos, sin) = oracle::rope_tables(8, 4, 10_000.0)?;
    let rotary = oracle::Rotary {
        cos: &cos,
        sin: &sin,
        queries: &positions,
        keys: &positions,
    };

    let mut x = oracle::embedding(&batch.tokens, &w.get("embed.weight"))?;
    for block in ["blocks.0", "blocks.1"] {
        let by_head = |name: &str, y: Tensor| -> Result<Tensor> {
            w.rms_norm(&format!("{block}.attn.{name}"), &y.reshape(((), 4))?)?
                .reshape(y.dims())
        };
        let project = |name: &str| w.linear(&format!("{block}.attn.{name}"), &x);
        let (q, k) = (
            by_head("q_norm", project("wq")?)?,
            by_head("k_norm", project("wk")?)?,
        );
        let heads = oracle::Attention {
            n_heads: 4,
            n_kv_heads: 2,
            scale: 0.5,
            rotary: Some(rotary),
            ..Default::default()
        };
        let y = oracle::attention(&q, &k, &project("wv")?, &heads, |i, j| mask.allows(i, j))?;
        let y = w.linear(&format!("{block}.attn.wo"), &y)?;
        x = w.rms_norm(&format!("{block}.attn_norm"), &(x + y)?)?;

        let wide = |name: &str| w.linear(&format!("{block}.mlp.{name}"), &x);
        let y = oracle::swiglu(&wide("gate")?, &wide("up")?)?;
        let y = w.linear(&format!("{block}.mlp.down"), &y)?;
        x = w.rms_norm(&format!("{block}.mlp_norm"), &(x + y)?)?;
    }
    let pooled = oracle::segment_mean(&x, &batch.walls)?;
    let want = w.linear("head", &pooled)?;
    assert_close(
        &model.logits(&batch.input(), &mask, Pass::eval())?,
        &want,
        1e-10,
    )?;
    Ok(())
}
