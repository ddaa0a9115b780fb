use std::collections::{BTreeMap, BTreeSet};

use attn_core::lora;

use super::*;

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn config(model: &str, targets: &str) -> RunConfig {
    let text = format!(
        "[run]\nname = 'x'\n[init]\nfrom = 'base'\nlora = {{ rank = 2, alpha = 6, targets = [{targets}] }}\n\
         [data]\npath = 'x.txt'\n[train]\nsteps = 1\nbatch_size = 1\nlr = 1e-3\n\
         [model]\nvocab_size = 10\nmax_seq_len = 8\nd_model = 4\nn_heads = 2\nn_layers = 1\nd_ff = 8\n{model}"
    );
    text.parse().expect("the configuration is sound")
}

const GPT2: &str = "kind = 'text-lm'\nmask = 'causal'\nposition = 'learnt'\nnorm = 'layer'\n\
                    activation = 'gelu'\nbias = true\ntied = true\n";
const BERT: &str = "kind = 'text-classifier'\nn_classes = 3\nposition = 'learnt'\nnorm = 'layer'\n\
                    norm_placement = 'post'\nembed_norm = true\ntoken_types = 2\nbias = true\n\
                    pooling = 'first'\npooler = true\nactivation = 'gelu_erf'\n";
const NONE: &str = "kind = 'text-lm'\nmask = 'causal'\nposition = 'sinusoidal'\ntied = false\n";

/// Names of the two matrices of each target, and `whole`.
fn stored(modules: &[&str], whole: &[&str]) -> Vec<String> {
    let of_module = |module: &&str| [lora::A, lora::B].map(|matrix| format!("{module}.{matrix}"));
    let whole = whole.iter().map(|&name| name.to_owned());
    modules.iter().flat_map(of_module).chain(whole).collect()
}

fn written(config: &RunConfig, ours: &[String]) -> Result<Layout> {
    Layout::to_write(config, &ours.iter().map(String::as_str).collect())
}

fn names(layout: &Layout) -> Vec<&str> {
    let names = layout.pieces().iter();
    names
        .map(|piece| piece.name.strip_prefix(PREFIX).unwrap_or("?"))
        .collect()
}

#[test]
fn modules_are_called_as_in_the_class_of_transformers() -> TestResult {
    let config = config(BERT, "'*.wq'");
    let ours = stored(&["blocks.0.attn.wq"], &["head.weight", "head.bias"]);
    let layout = written(&config, &ours)?;
    assert_eq!(
        names(&layout),
        [
            "bert.encoder.layer.0.attention.self.query.lora_A.weight",
            "bert.encoder.layer.0.attention.self.query.lora_B.weight",
            "classifier.weight",
            "classifier.bias",
        ]
    );
    let json: serde_json::Value = serde_json::from_str(&config_json(&config, &layout).unwrap())?;
    assert_eq!(
        json["target_modules"][0],
        "bert.encoder.layer.0.attention.self.query"
    );
    assert_eq!(json["modules_to_save"], serde_json::json!(["classifier"]));
    assert_eq!(json["fan_in_fan_out"], false);
    Ok(())
}

#[test]
fn projections_of_one_module_share_its_matrices() -> TestResult {
    let config = config(GPT2, "'*.wq', '*.wv'");
    let ours = stored(&["blocks.0.attn.wq", "blocks.0.attn.wv"], &[]);
    let layout = written(&config, &ours)?;
    assert_eq!(
        names(&layout),
        [
            "transformer.h.0.attn.c_attn.lora_A.weight",
            "transformer.h.0.attn.c_attn.lora_B.weight",
        ]
    );
    let json: serde_json::Value = serde_json::from_str(&config_json(&config, &layout).unwrap())?;
    let module = "transformer.h.0.attn.c_attn";
    assert_eq!(json["rank_pattern"][module], 4);
    assert_eq!(json["alpha_pattern"][module], 12.0);
    assert_eq!(json["fan_in_fan_out"], true);

    // What the module adds to its rows is what the projections add to theirs.
    let numbers = |n: usize, from: usize| (0..n).map(|i| (i + from) as f32).collect::<Vec<_>>();
    let (aq, av, bq, bv) = (
        numbers(8, 1),
        numbers(8, 20),
        numbers(8, 40),
        numbers(8, 60),
    );
    let [a, b] = layout.pieces() else {
        panic!("two matrices")
    };
    assert_eq!((&a.shape[..], &b.shape[..]), (&[4, 4][..], &[12, 4][..]));
    let values = |q: &[f32], v: &[f32], matrix| {
        let q_name = format!("blocks.0.attn.wq.{matrix}");
        let v_name = format!("blocks.0.attn.wv.{matrix}");
        (q_name, v_name, q.to_vec(), v.to_vec())
    };
    let whole = |piece: &Piece, (q_name, v_name, q, v): (String, String, Vec<f32>, Vec<f32>)| {
        piece.values(BTreeMap::from([(q_name.as_str(), q), (v_name.as_str(), v)]))
    };
    let a_values = whole(a, values(&aq, &av, lora::A))?;
    let b_values = whole(b, values(&bq, &bv, lora::B))?;
    let product = |b: &[f32], a: &[f32], rank: usize| -> Vec<f32> {
        let rows = b.chunks_exact(rank);
        rows.flat_map(|row| {
            (0..4).map(move |j| {
                row.iter()
                    .enumerate()
                    .map(|(k, x)| x * a[k * 4 + j])
                    .sum::<f32>()
            })
        })
        .collect()
    };
    let module = product(&b_values, &a_values, 4);
    assert_eq!(module[..16], product(&bq, &aq, 2));
    assert!(module[16..32].iter().all(|&x| x == 0.0));
    assert_eq!(module[32..], product(&bv, &av, 2));

    // And back.
    for (piece, values, parts) in [(a, &a_values, [&aq, &av]), (b, &b_values, [&bq, &bv])] {
        for (part, ours) in piece.parts.iter().zip(parts) {
            assert_eq!(&part.take(values.clone())?, ours, "{}", part.ours);
        }
    }
    Ok(())
}

#[test]
fn models_that_transformers_lacks_keep_our_names() -> TestResult {
    let config = config(NONE, "'*.up'");
    let layout = written(&config, &stored(&["blocks.0.mlp.up"], &["head.weight"]))?;
    assert_eq!(
        names(&layout),
        [
            "blocks.0.mlp.up.lora_A.weight",
            "blocks.0.mlp.up.lora_B.weight",
            "head.weight"
        ]
    );
    Ok(())
}

#[test]
fn what_is_no_module_of_theirs_keeps_all_names_ours() -> TestResult {
    // A part of `c_attn` that is stored whole: PEFT would need all of it.
    let config = config(GPT2, "'*.up'");
    let layout = written(
        &config,
        &stored(&["blocks.0.mlp.up"], &["blocks.0.attn.wq.weight"]),
    )?;
    assert!(
        names(&layout).contains(&"blocks.0.attn.wq.weight"),
        "{:?}",
        names(&layout)
    );
    Ok(())
}

#[test]
fn what_was_written_is_read() -> TestResult {
    for (model, modules, whole) in [
        (
            GPT2,
            &["blocks.0.attn.wq", "blocks.0.attn.wv"][..],
            &["embed.weight"][..],
        ),
        (
            BERT,
            &["blocks.0.attn.wq", "blocks.0.attn.wv"],
            &["head.weight"],
        ),
        (
            NONE,
            &["blocks.0.attn.wq", "blocks.0.attn.wv"],
            &["head.weight"],
        ),
    ] {
        let config = config(model, "'*.wq', '*.wv'");
        let ours = stored(modules, whole);
        let layout = written(&config, &ours)?;
        let in_file: BTreeSet<&str> = layout.pieces().iter().map(|p| p.name.as_str()).collect();
        let read = Layout::to_read(&config, &in_file)?;
        let found: BTreeSet<&str> = read
            .pieces()
            .iter()
            .flat_map(|piece| piece.parts.iter().map(|part| part.ours.as_str()))
            .collect();
        assert_eq!(found, ours.iter().map(String::as_str).collect());

        let mut more = in_file.clone();
        more.insert("base_model.model.other.weight");
        let refused = Layout::to_read(&config, &more).unwrap_err().to_string();
        assert!(
            refused.contains("`base_model.model.other.weight`"),
            "{refused}"
        );
    }
    Ok(())
}
