//! Models of images: their names, their definition, their gradients.

use attn_core::input::{ImageShape, Images};
use attn_core::{Mask, ParamStore, Pass, Pattern, Targets};
use candle_core::{DType, Device, Result, Tensor};
use models::{DataSizes, Input, LossOptions, Model, ModelConfig, cost};
use testkit::{assert_close, gradcheck_all, max_error, oracle, randn, reach};

use crate::made::{Outcome, shaken};

const SHAPE: ImageShape = ImageShape {
    height: 4,
    width: 6,
    channels: 3,
};
const CLASSES: usize = 3;
const BATCH: usize = 2;

fn table(keys: &str, image: &str) -> std::result::Result<ModelConfig, Box<dyn std::error::Error>> {
    let layers = match keys.contains("n_layers") {
        true => "",
        false => "n_layers = 2\n",
    };
    let text = format!(
        "kind = 'image-classifier'\nd_model = 16\nn_heads = 4\n{layers}{keys}\n\
         [image]\npatch = 2\n{image}"
    );
    let sizes = DataSizes {
        image: Some(SHAPE),
        n_classes: Some(CLASSES),
        pixel_mean: Some(vec![0.5, 0.25, 0.0]),
        pixel_std: Some(vec![0.5, 2.0, 1.0]),
        ..DataSizes::default()
    };
    Ok(toml::from_str::<ModelConfig>(&text)?.resolve(sizes)?)
}

/// Every variant, with and without a class token.
pub(crate) fn all() -> std::result::Result<Vec<ModelConfig>, Box<dyn std::error::Error>> {
    let mut configs = Vec::new();
    for keys in [
        "",
        "position = 'none'",
        "position = 'sinusoidal'",
        "position = 'learnt_2d'",
        "position = 'sinusoidal_2d'",
        "position = 'rotary_2d'",
        "position = { rotary_2d = { theta = 10.0 } }",
        "pooling = 'last'",
        "bias = false\nnorm = 'rms'\nactivation = 'swiglu'",
        "mask = { band = { left = 2, right = 1 } }",
    ] {
        for image in ["", "class_token = true"] {
            configs.push(table(keys, image)?);
        }
    }
    for (keys, image) in [
        ("", "window = 1"),
        ("position = 'none'", "window = 1\nclass_token = true"),
        ("position = 'rotary_2d'\nn_kv_heads = 2", "window = 1"),
        ("position = 'rotary'\nqk_norm = true", "window = 2"),
        ("position = 'learnt_2d'", "window = 1\nclass_token = true"),
    ] {
        configs.push(table(keys, image)?);
    }
    for keys in ["", "n_layers = 1\nactivation = 'relu'\nbias = false"] {
        let keys = format!("backbone = 'cnn'\n{keys}");
        configs.push(table(&keys, "")?);
    }
    Ok(configs)
}

pub(crate) fn images() -> Result<Images> {
    let pixels = randn(1, BATCH * SHAPE.n_values())?.to_vec1::<f64>()?;
    Images::new(pixels.iter().map(|&x| x as f32).collect::<Vec<_>>(), SHAPE)
}

fn mask(model: &Model, batch: usize) -> Mask {
    Mask::new(model.pattern().clone(), walls_of(batch)).expect("valid walls")
}

fn walls_of(batch: usize) -> Vec<u32> {
    (0..=batch).map(|i| (i * SHAPE.n_pixels()) as u32).collect()
}

/// Between the images of [`images`].
pub(crate) fn walls() -> Vec<u32> {
    walls_of(BATCH)
}

fn logits(model: &Model, images: Images) -> Result<Tensor> {
    let mask = mask(model, images.len());
    model.logits(&Input::Images(images), &mask, Pass::eval())
}

#[test]
fn the_count_of_parameters_is_that_of_the_store() -> Outcome {
    for config in all()? {
        let store = ParamStore::new(1, DType::F32, &Device::Cpu);
        Model::build(&config, store.var_builder())?;
        let n: usize = store.named_vars().iter().map(|(_, v)| v.elem_count()).sum();
        assert_eq!(cost::n_params(&config), n as u64, "{config:?}");
    }
    Ok(())
}

#[test]
fn the_names_are_the_documented_file_format() -> Outcome {
    let config = table("position = 'learnt_2d'", "class_token = true\nwindow = 7")?;
    let named = models::parameters(&config)?;
    for (name, shape) in [
        ("embed.weight", vec![16, 12]),
        ("embed.bias", vec![16]),
        ("class_token.weight", vec![1, 16]),
        ("position.rows.weight", vec![3, 16]),
        ("position.columns.weight", vec![4, 16]),
        ("window.bias", vec![4, 3 * 5 + 3]),
        ("head.weight", vec![CLASSES, 16]),
    ] {
        let found = named.iter().find(|parameter| parameter.name == name);
        assert_eq!(found.map(|p| p.shape.clone()), Some(shape), "{name}");
    }
    Ok(())
}

/// Dosovitskiy et al. 2020: patches, class token, learnt positions, pre-norm blocks, the
/// class token through the last norm and the head.
#[test]
fn a_vision_transformer_is_what_its_paper_says() -> Outcome {
    let config = table("", "class_token = true")?;
    let (store, model) = shaken(&config)?;
    let w = |name: &str| -> Tensor {
        let found = store.get(name);
        found
            .unwrap_or_else(|| panic!("no parameter {name}"))
            .as_detached_tensor()
    };
    let linear = |name: &str, x: &Tensor| {
        let bias = w(&format!("{name}.bias"));
        oracle::linear(x, &w(&format!("{name}.weight")), Some(&bias))
    };
    let norm = |name: &str, x: &Tensor| {
        let bias = w(&format!("{name}.bias"));
        oracle::layer_norm(x, &w(&format!("{name}.weight")), Some(&bias), 1e-5)
    };
    // [batch, patches, pixels of a patch] by the definition of a patch.
    let images = images()?;
    let mut rows = Vec::new();
    for image in images.pixels().chunks(SHAPE.n_values()) {
        for (top, left) in [(0, 0), (0, 2), (0, 4), (2, 0), (2, 2), (2, 4)] {
            for (y, x) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                for c in 0..3 {
                    let pixel = image[((top + y) * SHAPE.width + left + x) * 3 + c];
                    let (mean, std) = ([0.5, 0.25, 0.0][c], [0.5, 2.0, 1.0][c]);
                    rows.push((f64::from(pixel) - mean) / std);
                }
            }
        }
    }
    let patches = linear("embed", &Tensor::from_vec(rows, (12, 12), &Device::Cpu)?)?;
    let class_token = w("class_token.weight");
    let parts = [
        class_token.clone(),
        patches.narrow(0, 0, 6)?,
        class_token,
        patches.narrow(0, 6, 6)?,
    ];
    let positions = w("position.weight");
    let mut x = (Tensor::cat(&parts, 0)? + Tensor::cat(&[&positions, &positions], 0)?)?;
    let mask = Mask::new(Pattern::Full, [0, 7, 14])?;
    for block in ["blocks.0", "blocks.1"] {
        let y = norm(&format!("{block}.attn_norm"), &x)?;
        let [q, k, v] = ["wq", "wk", "wv"].map(|name| linear(&format!("{block}.attn.{name}"), &y));
        let heads = oracle::Attention {
            n_heads: 4,
            n_kv_heads: 4,
            scale: 0.5,
            ..Default::default()
        };
        let y = oracle::attention(&q?, &k?, &v?, &heads, |i, j| mask.allows(i, j))?;
        x = (x + linear(&format!("{block}.attn.wo"), &y)?)?;
        let y = norm(&format!("{block}.mlp_norm"), &x)?;
        let y = oracle::map(&linear(&format!("{block}.mlp.up"), &y)?, oracle::gelu_tanh)?;
        x = (x + linear(&format!("{block}.mlp.down"), &y)?)?;
    }
    let x = norm("norm", &x)?;
    let first = Tensor::cat(&[x.narrow(0, 0, 1)?, x.narrow(0, 7, 1)?], 0)?;
    // Pixels are standardised in `f32`.
    assert_close(&logits(&model, images)?, &linear("head", &first)?, 1e-5)?;
    Ok(())
}

#[test]
fn every_parameter_learns_and_its_gradient_is_right() -> Outcome {
    let images = images()?;
    for config in all()? {
        let (store, model) = shaken(&config)?;
        let mask = mask(&model, BATCH);
        let mixed = Targets::Mixed {
            first: [0, 1].into(),
            second: [2, 1].into(),
            share: [0.25, 0.5].into(),
        };
        let loss = || {
            let input = Input::Images(images.clone());
            model.loss(&input, &mask, &mixed, LossOptions::default(), Pass::eval())
        };
        let vars = store.named_vars();
        // The bias of keys moves all scores of a query alike, so it learns nothing.
        let learning = vars.iter().filter(|(name, _)| !name.ends_with("wk.bias"));
        let learning: Vec<_> = learning.map(|(name, var)| (name.as_str(), var)).collect();
        reach(&loss()?, learning)?;
        let first = |(name, _): &&(String, candle_core::Var)| {
            ["embed", "class_token", "position", "window"]
                .iter()
                .any(|p| name.starts_with(p))
        };
        let inputs: Vec<_> = vars
            .iter()
            .filter(first)
            .map(|(n, v)| (n.as_str(), v))
            .collect();
        gradcheck_all(&inputs, loss)?;
    }
    Ok(())
}

#[test]
fn images_of_a_batch_do_not_see_each_other() -> Outcome {
    let both = images()?;
    let one = |i: usize| {
        let part = &both.pixels()[i * SHAPE.n_values()..][..SHAPE.n_values()];
        Images::new(part.to_vec(), SHAPE)
    };
    for config in all()? {
        let (_, model) = shaken(&config)?;
        let alone = [logits(&model, one(0)?)?, logits(&model, one(1)?)?];
        let packed = logits(&model, both.clone())?;
        assert_close(&packed, &Tensor::cat(&alone, 0)?, 1e-12)?;
    }
    Ok(())
}

/// A window as wide as the image, without a bias, is none; a smaller one is another model.
#[test]
fn a_window_over_the_whole_image_is_no_window() -> Outcome {
    for (keys, image) in [
        ("", ""),
        ("position = 'rotary_2d'", "class_token = true"),
        ("position = 'sinusoidal_2d'", "class_token = true"),
    ] {
        let (wide, plain) = shaken(&table(keys, image)?)?;
        let want = logits(&plain, images()?)?;
        for (window, same) in [(2, true), (100, true), (1, false)] {
            let config = table(keys, &format!("{image}\nwindow = {window}"))?;
            let (store, model) = shaken(&config)?;
            for (name, var) in store.named_vars() {
                match wide.get(&name) {
                    Some(value) => var.set(&value)?,
                    None => var.set(&var.zeros_like()?)?,
                }
            }
            let moved = max_error(&logits(&model, images()?)?, &want)?;
            assert_eq!(moved < 1e-12, same, "{keys} {image} {window}: {moved}");
        }
    }
    Ok(())
}

/// Without an encoding an image is a set: its patches may change places.
#[test]
fn places_are_told_by_the_encoding_alone() -> Outcome {
    let shape = ImageShape {
        height: 2,
        width: 2,
        channels: 1,
    };
    let image = |pixels: [f32; 4]| Images::new(pixels.to_vec(), shape);
    let of = |position: &str, pixels| -> Outcome<Tensor> {
        let text = format!(
            "kind = 'image-classifier'\nd_model = 16\nn_heads = 2\nn_layers = 1\nposition = \
             '{position}'\n[image]\npatch = 1"
        );
        let sizes = DataSizes {
            image: Some(shape),
            n_classes: Some(CLASSES),
            ..DataSizes::default()
        };
        let config = toml::from_str::<ModelConfig>(&text)?.resolve(sizes)?;
        let (_, model) = shaken(&config)?;
        let mask = Mask::single(Pattern::Full, 4)?;
        Ok(model.logits(&Input::Images(image(pixels)?), &mask, Pass::eval())?)
    };
    for (position, told) in [
        ("none", false),
        ("learnt", true),
        ("learnt_2d", true),
        ("sinusoidal_2d", true),
        ("rotary_2d", true),
    ] {
        let (a, b) = (
            of(position, [0.1, 0.9, 0.4, 0.7])?,
            of(position, [0.4, 0.9, 0.7, 0.1])?,
        );
        let moved = max_error(&a, &b)?;
        assert_eq!(moved > 1e-6, told, "{position}: {moved}");
    }
    Ok(())
}

#[test]
fn tables_that_fit_no_image_are_refused_with_key_and_value() {
    let said = |keys: &str, image: &str| {
        let found = table(keys, image).expect_err("refused");
        found.to_string()
    };
    for (image, message) in [
        (
            "height = 8",
            "image.height = 8, but the data has 4; remove it",
        ),
        (
            "mean = [0.5]",
            "image.mean has 1 numbers, but an image 3 channels",
        ),
        ("std = [1.0, 0.0, 1.0]", "image.std = 0"),
        (
            "window = 0",
            "image.window = 0 is out of range; use 1 to 1024",
        ),
    ] {
        let said = said("", image);
        assert!(said.contains(message), "{said}\n{message}");
    }
    for (keys, other) in [
        ("mask = 'causal'", "mask = \"causal\""),
        ("position = 'alibi'", "position = \"alibi\""),
    ] {
        let said = said(keys, "window = 2");
        let message = format!("image.window = 2 cannot go with {other}; remove one of them");
        assert!(said.contains(&message), "{said}\n{message}");
    }
    // Which one key is to swap: convolutions have windows of their own.
    let swapped = table("backbone = 'cnn'", "window = 2").expect("a configuration");
    assert_eq!(swapped.image().and_then(|image| image.window()), None);
    let said = said("position = { rotary_2d = { theta = 0.0 } }", "");
    assert!(
        said.contains("theta = 0 is not a positive number"),
        "{said}"
    );

    let base = "kind = 'image-classifier'\nd_model = 16\nn_layers = 1\n";
    for (keys, message) in [
        (
            "n_heads = 8\nposition = 'rotary_2d'",
            "position = \"rotary_2d\" needs channels a head that are a multiple of 4, at least 4, not 2",
        ),
        (
            "n_heads = 4\n[image]\npatch = 0",
            "image.patch = 0 is out of range",
        ),
        (
            "n_heads = 4\n[image]\npatch = 4\nheight = 4\nwidth = 6",
            "image.width = 6 is not a multiple of image.patch = 4",
        ),
    ] {
        let read = toml::from_str::<ModelConfig>(&format!("{base}{keys}"));
        let said = read.expect_err(keys).to_string();
        assert!(said.contains(message), "{said}\n{message}");
    }
    let text = "kind = 'text-lm'\nd_model = 16\nn_heads = 4\nn_layers = 1\nposition = 'learnt_2d'";
    let said = toml::from_str::<ModelConfig>(text).expect_err("no grid");
    assert!(
        said.to_string()
            .contains("is for the patches of images, not for a text-lm"),
        "{said}"
    );
}
