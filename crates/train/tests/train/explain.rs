//! What `explain` says.

use std::error::Error;

use train::{config::RunConfig, explain::explain};

const TINY: &str = r#"
[run]
name = "tiny"
[data]
path = "embedded"
seq_len = 64
[model]
kind = "text-lm"
vocab_size = 65
max_seq_len = 64
d_model = 128
n_heads = 4
n_layers = 4
[train]
steps = 2000
batch_size = 12
accumulate = 2
lr = 1e-3
schedule = "cosine"
"#;

fn explained(text: &str) -> Result<String, Box<dyn Error>> {
    let config: RunConfig = text.parse()?;
    Ok(explain(&config.resolve(models::DataSizes::default())?)?)
}

#[test]
fn a_language_model_is_told_on_one_page() -> Result<(), Box<dyn Error>> {
    let text = explained(TINY)?;
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    insta::assert_snapshot!(text);
    Ok(())
}

#[test]
fn a_classifier_is_told_on_one_page() -> Result<(), Box<dyn Error>> {
    let text = TINY.replace(
        "\"text-lm\"",
        "\"text-classifier\"\nn_classes = 8\nmask = { band = { left = 3, right = 2 } }",
    );
    insta::assert_snapshot!(explained(&text)?);
    Ok(())
}

#[test]
fn memory_is_that_of_what_is_kept_of_a_block() -> Result<(), Box<dyn Error>> {
    let text = explained(&TINY.replace("n_heads", "memory = \"recompute\"\nn_heads"))?;
    let line = text.lines().find(|line| line.contains("activations "));
    let line = line.ok_or("no such line")?;
    assert!(line.contains("inputs of blocks, and one block"), "{line}");
    assert!(line.ends_with("14.7 MiB"), "{line}");
    Ok(())
}

#[test]
fn a_model_that_no_machine_holds_is_only_looked_at() -> Result<(), Box<dyn Error>> {
    let text = TINY
        .replace("d_model = 128", "d_model = 8192")
        .replace("n_layers = 4", "n_layers = 64");
    let text = explained(&text)?;
    assert!(text.contains("blocks.0 to blocks.63"), "{text}");
    Ok(())
}

#[test]
fn the_arithmetic_is_that_of_the_formula() -> Result<(), Box<dyn Error>> {
    // 2 accumulated batches of 12 sequences of 64 tokens; a causal sequence of 64 has 2,080 pairs.
    let n_tokens = 2.0 * 12.0 * 64.0;
    let matrices = 4.0 * (4.0 + 8.0) * 128.0 * 128.0 + 65.0 * 128.0;
    let products = 6.0 * matrices * n_tokens;
    let attention = 12.0 * 4.0 * 128.0 * (24.0 * 64.0 * 65.0 / 2.0);
    let text = explained(TINY)?;
    for want in [
        format!("{:.1} GFLOP", products / 1e9),
        format!("{:.1} MFLOP", attention / 1e6),
        format!("{:.1} GFLOP", (products + attention) / 1e9),
    ] {
        assert!(text.contains(&want), "{want} is not in {text}");
    }
    Ok(())
}

#[test]
fn a_window_of_patches_is_drawn_and_counted() -> Result<(), Box<dyn Error>> {
    let text = TINY
        .replace("path = \"embedded\"\nseq_len = 64", "path = \"generated\"")
        .replace(
            "\"text-lm\"\nvocab_size = 65\nmax_seq_len = 64",
            "\"image-classifier\"\nn_classes = 10",
        )
        + "[model.image]\npatch = 2\nwindow = 1\nclass_token = true\nheight = 10\nwidth = 8\nchannels = 3\n";
    let text = explained(&text)?;
    // 13 pairs of rows times 10 of columns, and the class token with 20 patches and itself.
    let pairs = 2 * 12 * (13 * 10 + 2 * 20 + 1);
    for want in [
        "128 wide · 4,104 pairs".to_owned(),
        "of 5 x 4 patches".to_owned(),
        "the class token reads all".to_owned(),
        "  ····\n  ·███\n  ·█▣█\n  ·███\n  ····\n".to_owned(),
    ] {
        assert!(text.contains(&want), "{want} is not in {text}");
    }
    assert_eq!(pairs, 4104);
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    Ok(())
}
