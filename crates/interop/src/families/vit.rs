//! ViT: patches, a class token before them, learnt positions, pre-norm blocks.

use models::{Kind, ModelConfig};
use serde_json::{Value, json};

use super::encoder::{self, Defaults};
use super::preprocessor::Preprocessor;
use crate::form::{Form, Head, Need, Row, Rule, beside, row};
use crate::keys::Keys;
use crate::{Error, Family};

/// What is dropped where config.json does not say.
pub(super) const DEFAULTS: Defaults = Defaults { dropout: 0.0 };
/// Longest side of an image, in pixels.
const MAX_SIDE: usize = 1 << 16;
/// Longest side of a patch, in pixels.
const MAX_PATCH: usize = 1 << 10;
/// Most numbers a pixel.
const MAX_CHANNELS: usize = 1 << 10;

/// Rows of the blocks. The second names are those of modules since version 5 of transformers;
/// files have the first still.
pub(super) const BLOCKS: &[Row] = &[
    row(
        "blocks.#.attn_norm",
        &[
            "encoder.layer.#.layernorm_before",
            "layers.#.layernorm_before",
        ],
    ),
    row(
        "blocks.#.attn.wq",
        &[
            "encoder.layer.#.attention.attention.query",
            "layers.#.attention.q_proj",
        ],
    ),
    row(
        "blocks.#.attn.wk",
        &[
            "encoder.layer.#.attention.attention.key",
            "layers.#.attention.k_proj",
        ],
    ),
    row(
        "blocks.#.attn.wv",
        &[
            "encoder.layer.#.attention.attention.value",
            "layers.#.attention.v_proj",
        ],
    ),
    row(
        "blocks.#.attn.wo",
        &[
            "encoder.layer.#.attention.output.dense",
            "layers.#.attention.o_proj",
        ],
    ),
    row(
        "blocks.#.mlp_norm",
        &[
            "encoder.layer.#.layernorm_after",
            "layers.#.layernorm_after",
        ],
    ),
    row(
        "blocks.#.mlp.up",
        &["encoder.layer.#.intermediate.dense", "layers.#.mlp.fc1"],
    ),
    row(
        "blocks.#.mlp.down",
        &["encoder.layer.#.output.dense", "layers.#.mlp.fc2"],
    ),
];

/// What AST has, too.
pub(super) const NEEDS: &[Need] = &[
    ("backbone", &["\"transformer\""]),
    ("mask", &["\"full\""]),
    ("position", &["\"learnt\""]),
    ("norm", &["\"layer\""]),
    ("norm_placement", &["\"pre\""]),
    ("bias", &["true"]),
    ("qk_norm", &["false"]),
    ("pooling", &["\"first\""]),
    (
        "activation",
        &["\"gelu\"", "\"gelu_erf\"", "\"relu\"", "\"silu\""],
    ),
];

pub(crate) const FORM: Form = Form {
    family: Family::Vit,
    class: "ViT",
    prefix: "vit",
    body: &[
        &[
            row("embed", &["embeddings.patch_embeddings.projection"]).with(Rule::Patches),
            row("class_token.weight", &["embeddings.cls_token"]).with(Rule::Ones(1)),
            row("position.weight", &["embeddings.position_embeddings"]).with(Rule::Ones(1)),
            row("norm", &["layernorm"]),
        ],
        BLOCKS,
    ],
    heads: &[Head {
        kind: Kind::ImageClassifier,
        architecture: "ViTForImageClassification",
        bare: false,
        rows: &[beside("head", &["classifier"])],
        needs: &[
            ("image.class_token", &["true"]),
            ("image.window", &["null"]),
        ],
    }],
    // What stands for hidden patches, and a map behind the class token, which a classifier
    // does not have.
    spare: &["embeddings.mask_token", "pooler.*"],
    needs: NEEDS,
};

pub(crate) fn read(keys: &Keys, preprocessor: Option<&Preprocessor>) -> Result<Value, Error> {
    keys.only(
        "qkv_bias",
        true,
        "use a model with true: either all linear maps have biases or none",
    )?;
    let (height, width) = super::sides(keys, "image_size", MAX_SIDE)?;
    let (patch, patch_width) = super::sides(keys, "patch_size", MAX_PATCH)?;
    if patch != patch_width {
        return Err(keys.unsupported("patch_size", "use a model with square patches"));
    }
    if !height.is_multiple_of(patch) || !width.is_multiple_of(patch) {
        let remedy = format!("use a model whose image_size is a multiple of patch_size = {patch}");
        return Err(keys.unsupported("image_size", &remedy));
    }
    let channels = keys
        .size_if_any("num_channels", 1..=MAX_CHANNELS)?
        .unwrap_or(3);
    let mut image = json!({
        "height": height,
        "width": width,
        "channels": channels,
        "patch": patch,
        "class_token": true,
    });
    if let Some(preprocessor) = preprocessor {
        preprocessor.fits((height, width))?;
        if let Some((mean, std)) = preprocessor.moments(channels)? {
            image["mean"] = json!(mean);
            image["std"] = json!(std);
        }
    }
    let more = json!({
        "norm_placement": "pre",
        "max_seq_len": (height / patch) * (width / patch) + 1,
        "pooling": "first",
        "image": image,
    });
    encoder::read(keys, &DEFAULTS, more)
}

pub(crate) fn write(model: &ModelConfig) -> Result<Value, Error> {
    let Some(image) = model.image() else {
        return Err(Error::NoFamily { kind: model.kind() });
    };
    let shape = super::known(image.shape())?;
    let image_size = match shape.height == shape.width {
        true => json!(shape.height),
        false => json!([shape.height, shape.width]),
    };
    let more = json!({
        "qkv_bias": true,
        "image_size": image_size,
        "patch_size": image.patch(),
        "num_channels": shape.channels,
        "encoder_stride": image.patch(),
    });
    Ok(encoder::write(model, more))
}
