//! Names, shapes, counts and first values of parameters.

use std::collections::BTreeMap;

use attn_core::{ParamStore, Pass};
use candle_core::{DType, Device, Result};
use models::{LossOptions, Model, ModelConfig, cost};
use testkit::{gradcheck_all, reach};

use crate::made::{
    BERT, Batch, CLASSES, LONGEST, Outcome, VOCAB, all, chosen, classifier, encoder, lm, shaken,
};

fn shapes(config: &ModelConfig) -> Result<BTreeMap<String, Vec<usize>>> {
    let store = ParamStore::new(1, DType::F32, &Device::Cpu);
    Model::build(config, store.var_builder())?;
    let shape = |(name, var): (String, candle_core::Var)| (name, var.dims().to_vec());
    Ok(store.named_vars().into_iter().map(shape).collect())
}

fn named(list: &[(&str, &[usize])]) -> BTreeMap<String, Vec<usize>> {
    list.iter()
        .map(|(name, shape)| ((*name).to_owned(), shape.to_vec()))
        .collect()
}

#[test]
fn the_names_are_the_documented_file_format() -> Result<()> {
    let gpt = lm("n_layers = 1\nd_ff = 24\ntied = false");
    let want = named(&[
        ("blocks.0.attn.wk.bias", &[16]),
        ("blocks.0.attn.wk.weight", &[16, 16]),
        ("blocks.0.attn.wo.bias", &[16]),
        ("blocks.0.attn.wo.weight", &[16, 16]),
        ("blocks.0.attn.wq.bias", &[16]),
        ("blocks.0.attn.wq.weight", &[16, 16]),
        ("blocks.0.attn.wv.bias", &[16]),
        ("blocks.0.attn.wv.weight", &[16, 16]),
        ("blocks.0.attn_norm.bias", &[16]),
        ("blocks.0.attn_norm.weight", &[16]),
        ("blocks.0.mlp.down.bias", &[16]),
        ("blocks.0.mlp.down.weight", &[16, 24]),
        ("blocks.0.mlp.up.bias", &[24]),
        ("blocks.0.mlp.up.weight", &[24, 16]),
        ("blocks.0.mlp_norm.bias", &[16]),
        ("blocks.0.mlp_norm.weight", &[16]),
        ("embed.weight", &[VOCAB, 16]),
        ("head.weight", &[VOCAB, 16]),
        ("norm.bias", &[16]),
        ("norm.weight", &[16]),
        ("position.weight", &[LONGEST, 16]),
    ]);
    assert_eq!(shapes(&gpt)?, want);

    let llama = classifier(
        "n_layers = 1\nd_ff = 24\nn_kv_heads = 2\nnorm = 'rms'\nbias = false\nqk_norm = true\n\
         position = 'rotary'\nactivation = 'swiglu'\nnorm_placement = 'post'",
    );
    let want = named(&[
        ("blocks.0.attn.k_norm.weight", &[4]),
        ("blocks.0.attn.q_norm.weight", &[4]),
        ("blocks.0.attn.wk.weight", &[8, 16]),
        ("blocks.0.attn.wo.weight", &[16, 16]),
        ("blocks.0.attn.wq.weight", &[16, 16]),
        ("blocks.0.attn.wv.weight", &[8, 16]),
        ("blocks.0.attn_norm.weight", &[16]),
        ("blocks.0.mlp.down.weight", &[16, 24]),
        ("blocks.0.mlp.gate.weight", &[24, 16]),
        ("blocks.0.mlp.up.weight", &[24, 16]),
        ("blocks.0.mlp_norm.weight", &[16]),
        ("embed.weight", &[VOCAB, 16]),
        ("head.weight", &[CLASSES, 16]),
    ]);
    assert_eq!(shapes(&llama)?, want);

    let added = |config: &ModelConfig| -> Result<BTreeMap<String, Vec<usize>>> {
        let mut shapes = shapes(config)?;
        let block = |name: &str| name.starts_with("blocks.") || name == "position.weight";
        shapes.retain(|name, _| !block(name));
        Ok(shapes)
    };
    let mut bert = named(&[
        ("embed.weight", &[VOCAB, 16]),
        ("embed_norm.bias", &[16]),
        ("embed_norm.weight", &[16]),
        ("pooler.bias", &[16]),
        ("pooler.weight", &[16, 16]),
        ("token_type.weight", &[2, 16]),
    ]);
    assert_eq!(added(&encoder(BERT))?, bert);
    bert.extend(named(&[
        ("head.bias", &[CLASSES]),
        ("head.weight", &[CLASSES, 16]),
    ]));
    assert_eq!(added(&classifier(BERT))?, bert);
    Ok(())
}

#[test]
fn what_a_model_will_ask_for_is_known_before() -> Result<()> {
    for config in all().into_iter().chain([encoder(""), encoder(BERT)]) {
        let asked = models::parameters(&config)?;
        let asked: BTreeMap<_, _> = asked.into_iter().map(|p| (p.name, p.shape)).collect();
        assert_eq!(asked, shapes(&config)?);
    }
    // 200 GiB, none of which is taken.
    let huge = lm("d_model = 65536\nn_heads = 64\nn_layers = 1\nd_ff = 262144");
    assert!(models::parameters(&huge).is_ok());
    Ok(())
}

#[test]
fn the_count_without_a_model_is_the_count_of_the_model() -> Result<()> {
    for config in all().into_iter().chain([encoder(""), encoder(BERT)]) {
        let n: usize = shapes(&config)?
            .values()
            .map(|shape| shape.iter().product::<usize>())
            .sum();
        assert_eq!(cost::n_params(&config), n as u64, "{config:?}");
    }
    Ok(())
}

#[test]
fn the_matrices_are_counted_as_often_as_a_token_meets_them() -> Result<()> {
    for config in all() {
        let is_matrix = |name: &str| name.starts_with("blocks.") && name.ends_with(".weight");
        let in_blocks = shapes(&config)?
            .into_iter()
            .filter(|(name, shape)| is_matrix(name) && shape.len() == 2)
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum::<usize>();
        let head = if config.pooling().is_none() {
            VOCAB * 16
        } else {
            0
        };
        assert_eq!(
            cost::n_matrix_params(&config),
            (in_blocks + head) as u64,
            "{config:?}"
        );
    }
    Ok(())
}

/// nanoGPT's `_init_weights`: N(0, 0.02), and those that write to the residual stream
/// smaller by `√(2 n_layers)`.
#[test]
fn weights_start_as_in_gpt_2() -> Result<()> {
    let config = lm("n_layers = 8\nd_model = 64\ntied = false\nposition = 'learnt'");
    let store = ParamStore::new(3, DType::F64, &Device::Cpu);
    Model::build(&config, store.var_builder())?;
    for (name, var) in store.named_vars() {
        let values = var.flatten_all()?.to_vec1::<f64>()?;
        let square = values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64;
        let want = match name.as_str() {
            name if name.ends_with("bias") => 0.0,
            name if name.contains("norm") => 1.0,
            name if name.contains(".wo.") || name.contains(".down.") => 0.02 / 4.0,
            _ => 0.02,
        };
        // Five standard errors of the root of a mean of squares.
        let allowed = 5.0 * want / (2.0 * values.len() as f64).sqrt();
        assert!(
            (square.sqrt() - want).abs() <= allowed,
            "{name}: {}",
            square.sqrt()
        );
    }
    Ok(())
}

#[test]
fn every_parameter_of_every_variant_gets_a_gradient() -> Result<()> {
    for config in all() {
        let (store, model) = shaken(&config)?;
        let batch = Batch::of(&config);
        let (mask, pass) = (batch.mask(&model), Pass::train(1, 2));
        let options = LossOptions {
            label_smoothing: 0.1,
            divisor: None,
        };
        let loss = model.loss(&batch.input(), &mask, &batch.targets(), options, pass)?;
        reach(&loss, store.named_vars())?;
    }
    Ok(())
}

/// The layers are checked one by one where they live; here a few parameters are followed
/// through a whole model.
#[test]
fn gradients_match_differences_end_to_end() -> Outcome {
    let small = "d_model = 4\nn_heads = 2\nd_ff = 4\nn_layers = 1\n";
    let modern = "norm = 'rms'\nactivation = 'swiglu'\nposition = 'rotary'\nn_kv_heads = 1\n";
    for config in [
        lm(small),
        lm(&format!("{small}{modern}dropout = 0.25")),
        classifier(&format!("{small}{modern}norm_placement = 'post'")),
        classifier(&format!(
            "{small}pooling = 'last'\nmask = {{ band = {{ left = 2, right = 1 }} }}"
        )),
        classifier(&format!("{small}{BERT}")),
        lm(&format!(
            "{small}{modern}embed_norm = true\ntoken_types = 2"
        )),
        lm(&format!("{small}token_types = 1")),
    ] {
        let (store, model) = shaken(&config)?;
        let batch = Batch::of(&config);
        let (mask, pass) = (batch.mask(&model), Pass::train(1, 2));
        let options = LossOptions {
            label_smoothing: 0.1,
            divisor: Some(4.0),
        };
        let vars = chosen(
            &store,
            &[
                "embed",
                "token_type",
                "pooler",
                "blocks.0.attn.w",
                "blocks.0.mlp.up",
                "norm",
                "head",
            ],
        );
        let inputs: Vec<_> = vars
            .iter()
            .map(|(name, var)| (name.as_str(), var))
            .collect();
        gradcheck_all(&inputs, || {
            model.loss(&batch.input(), &mask, &batch.targets(), options, pass)
        })?;
    }
    Ok(())
}
