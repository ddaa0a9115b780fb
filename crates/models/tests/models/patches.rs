//! Models of patches of a spectrogram, on tiny ones: what they share with other models of
//! sound is tested with those.

use std::collections::BTreeMap;

use attn_core::Mask;
use candle_core::Tensor;
use models::Model;
use testkit::{assert_close, max_error};

use crate::made::{Outcome, shaken};
use crate::speech::{WALLS, frames, input, made_of};

/// Patches of which one is filled up in part and others wholly, and all that goes with them.
pub(crate) const FRONTS: [&str; 4] = [
    "speech = { front = 'patches', window = 2, stride = 2, n_frames = 9, head_norm = true }",
    "speech = { front = 'patches', window = 2, feature_stride = 1, stride = 2, n_frames = 6, \
     fill = 0.3, class_tokens = 1 }\nbias = false",
    "speech = { front = 'patches', window = 3, stride = 2, n_frames = 7, class_tokens = 0 }\n\
     pooling = 'mean'\nposition = 'rotary'",
    "speech = { front = 'patches', window = 1, stride = 1, n_frames = 4, head_norm = true }\n\
     pooling = 'mean'\nbias = false\nposition = 'none'",
];

#[test]
fn patches_refuse_what_has_no_meaning_beside_them() {
    let classifier = "kind = 'speech-classifier'\n";
    let with = |keys: &str| format!("{classifier}speech = {{ front = 'patches', {keys} }}");
    let small = "window = 2, stride = 2, n_frames = 6";
    assert!(made_of(&with(small)).is_ok());
    for (keys, fault) in [
        (
            with("window = 4"),
            "speech.window = 4 features of a patch are more than the 3",
        ),
        (with("window = 2, stride = 3"), "speech.window = 2 "),
        (
            with("window = 2, stride = 1, n_frames = 1"),
            "speech.n_frames = 1 ",
        ),
        (
            with("window = 2, stride = 1, feature_stride = 3"),
            "speech.feature_stride = 3 ",
        ),
        (
            with("window = 2, stride = 1, class_tokens = 3"),
            "speech.class_tokens = 3 ",
        ),
        (
            with("window = 2, stride = 1, fill = nan"),
            "speech.fill = NaN",
        ),
        (with(small) + "\nmax_seq_len = 9", "max_seq_len = 9, but"),
        (
            with(small) + "\nbackbone = 'gru'",
            "cannot go with backbone = \"gru\"",
        ),
        (
            with(small) + "\nmask = 'causal'",
            "cannot go with mask = \"causal\"",
        ),
        (
            with(small).replace("classifier", "ctc"),
            "cannot go with kind = \"speech-ctc\"",
        ),
        (
            format!("{classifier}speech = {{ n_frames = 7 }}"),
            "speech.n_frames = 7 has no use",
        ),
        (
            format!("{classifier}speech = {{ fill = 0.0 }}"),
            "speech.fill = 0 has no use",
        ),
        (
            "kind = 'speech-ctc'\nspeech = { head_norm = true }".to_owned(),
            "speech.head_norm = true has no use",
        ),
    ] {
        let error = made_of(&keys).unwrap_err();
        assert!(error.to_string().contains(fault), "{error}");
    }
}

/// The mean of both does not tell which is which, but hears of each.
#[test]
fn two_class_tokens_are_pooled_together() -> Outcome {
    let config = made_of(&format!("kind = 'speech-classifier'\n{}", FRONTS[0]))?;
    let pooling = Some(models::Pooling::First);
    assert_eq!((config.max_seq_len()?, config.pooling()), (2 + 4, pooling));
    let (store, model) = shaken(&config)?;
    let input = input(frames(4, 14)?)?;
    let mask = Mask::new(model.pattern().clone(), WALLS)?;
    let vars: BTreeMap<_, _> = store.named_vars().into_iter().collect();
    let names = ["class_token.weight", "distillation_token.weight"];
    let before = model.vectors(&input, &mask)?;
    let [class, distillation] = names.map(|name| vars[name].as_tensor().copy());
    let (class, distillation) = (class?, distillation?);
    vars[names[0]].set(&distillation)?;
    vars[names[1]].set(&class)?;
    let position = &vars["position.weight"];
    let rows = [(1, 1), (0, 1), (2, 4)].map(|(row, n)| position.narrow(0, row, n));
    let rows: Result<Vec<Tensor>, _> = rows.into_iter().collect();
    position.set(&Tensor::cat(&rows?, 0)?)?;
    assert_close(&model.vectors(&input, &mask)?, &before, 1e-12)?;
    for name in names {
        let old = vars[name].as_tensor().copy()?;
        vars[name].set(&(&old * -2.0)?)?;
        assert!(
            max_error(&model.vectors(&input, &mask)?, &before)? > 1e-3,
            "{name}"
        );
        vars[name].set(&old)?;
    }
    // All rows together are another vector.
    let keys = format!("kind = 'speech-classifier'\n{}", FRONTS[0]);
    let mean = made_of(&format!("{keys}\npooling = 'mean'"))?;
    let mean = Model::build(&mean, store.detached())?;
    assert!(max_error(&mean.vectors(&input, &mask)?, &before)? > 1e-3);
    Ok(())
}
