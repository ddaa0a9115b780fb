//! AST: patches of a spectrogram, two class tokens before them, learnt positions, pre-norm
//! blocks, and a norm before the map of the head.

use models::{Kind, ModelConfig};
use serde_json::{Value, json};

use super::sound::SoundFeatures;
use super::{encoder, vit};
use crate::form::{Form, Head, Rule, beside, row};
use crate::keys::Keys;
use crate::{Error, Family};

/// Longest side of a patch, in frames and features.
const MAX_PATCH: usize = 64;
/// Most frames of a spectrogram.
const MAX_FRAMES: usize = 120_000;
/// Most bands of energy.
const MAX_BINS: usize = 1 << 10;

/// The kernels of the convolution are bands by frames, and so are ours.
pub(crate) const FORM: Form = Form {
    family: Family::Ast,
    class: "AST",
    prefix: "audio_spectrogram_transformer",
    body: &[
        &[
            row("embed", &["embeddings.patch_embeddings.projection"]).with(Rule::Patches),
            row("class_token.weight", &["embeddings.cls_token"]).with(Rule::Ones(1)),
            row(
                "distillation_token.weight",
                &["embeddings.distillation_token"],
            )
            .with(Rule::Ones(1)),
            row("position.weight", &["embeddings.position_embeddings"]).with(Rule::Ones(1)),
            row("norm", &["layernorm"]),
        ],
        vit::BLOCKS,
    ],
    heads: &[Head {
        kind: Kind::SpeechClassifier,
        architecture: "ASTForAudioClassification",
        bare: false,
        rows: &[
            beside("head.norm", &["classifier.layernorm"]),
            beside("head", &["classifier.dense"]),
        ],
        needs: &[
            ("speech.front", &["\"patches\""]),
            ("speech.class_tokens", &["2"]),
            ("speech.head_norm", &["true"]),
        ],
    }],
    spare: &[],
    needs: vit::NEEDS,
};

/// The `[model]` of a config.json, and how the preprocessor_config.json beside it, if there
/// is one, makes the frames, and so what it fills them up with.
pub(crate) fn read(
    keys: &Keys,
    preprocessor: Option<&Keys>,
) -> Result<(Value, SoundFeatures), Error> {
    keys.only(
        "qkv_bias",
        true,
        "use a model with true: either all linear maps have biases or none",
    )?;
    let (patch, across) = super::sides(keys, "patch_size", MAX_PATCH)?;
    if patch != across {
        return Err(keys.unsupported("patch_size", "use a model with square patches"));
    }
    let n_features = keys.size("num_mel_bins", patch..=MAX_BINS)?;
    let n_frames = keys.size("max_length", patch..=MAX_FRAMES)?;
    // A frame between two patches would never be read.
    let feature_stride = keys.size("frequency_stride", 1..=patch)?;
    let stride = keys.size("time_stride", 1..=patch)?;
    let features = match preprocessor {
        Some(preprocessor) => SoundFeatures::read(preprocessor, n_features, n_frames)?,
        None => SoundFeatures::default(),
    };
    let grid = [(n_features, feature_stride), (n_frames, stride)];
    let [height, width] = grid.map(|(n, stride)| (n - patch) / stride + 1);
    let more = json!({
        "norm_placement": "pre",
        "max_seq_len": 2 + height * width,
        "pooling": "first",
        "speech": {
            "front": "patches",
            "n_features": n_features,
            "n_frames": n_frames,
            "window": patch,
            "stride": stride,
            "feature_stride": feature_stride,
            "fill": features.fill(),
            "class_tokens": 2,
            "head_norm": true,
        },
    });
    Ok((encoder::read(keys, &vit::DEFAULTS, more)?, features))
}

pub(crate) fn write(model: &ModelConfig) -> Result<Value, Error> {
    let (Some(speech), Some(patches)) = (
        model.speech(),
        model.speech().and_then(|speech| speech.patches()),
    ) else {
        return Err(Error::NoFamily { kind: model.kind() });
    };
    let more = json!({
        "qkv_bias": true,
        "patch_size": speech.window(),
        "frequency_stride": patches.feature_stride(),
        "time_stride": speech.stride(),
        "max_length": super::known(patches.n_frames())?,
        "num_mel_bins": super::known(speech.n_features())?,
    });
    Ok(encoder::write(model, more))
}
