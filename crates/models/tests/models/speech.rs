//! Models of sound, on tiny ones.

use std::collections::BTreeMap;

use attn_core::input::Rows;
use attn_core::{IGNORED, Mask, ParamStore, Pass, Targets};
use candle_core::{DType, Device, Tensor};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use models::speech::FrontEnd;
use models::{DataSizes, Edits, Input, LossOptions, Model, ModelConfig, cost};
use testkit::{assert_close, gradcheck_all, max_error, randn, reach};

use crate::made::{Outcome, chosen, shaken};
use crate::patches;

const FEATURES: usize = 3;
const CLASSES: usize = 4;
/// Walls of three recordings of 7, 1 and 6 frames.
pub(crate) const WALLS: [u32; 4] = [0, 7, 8, 14];
const KINDS: [&str; 3] = ["speech-classifier", "speech-frames", "speech-ctc"];
/// Front ends: window and stride.
const FRONTS: [&str; 4] = [
    "",
    "speech = { stride = 2 }",
    "speech = { window = 3, stride = 2 }",
    "speech = { window = 5 }",
];

/// Behind them seven frames are two positions, too few for the symbols of [`targets`].
const CONVOLUTIONS: &str = "speech = { front = 'convolutions' }";

fn config(kind: &str, keys: &str) -> Outcome<ModelConfig> {
    let band = "mask = { band = { left = 1, right = 1 } }\n";
    made_of(&format!("kind = '{kind}'\n{band}{keys}"))
}

pub(crate) fn made_of(keys: &str) -> Outcome<ModelConfig> {
    let config: ModelConfig =
        toml::from_str(&format!("d_model = 8\nn_heads = 2\nn_layers = 2\n{keys}"))?;
    Ok(config.resolve(DataSizes {
        seq_len: Some(16),
        n_classes: Some(CLASSES),
        n_features: Some(FEATURES),
        ..DataSizes::default()
    })?)
}

/// Every kind behind every front end.
pub(crate) fn every_kind_and_front() -> Outcome<Vec<ModelConfig>> {
    let mut configs = Vec::new();
    for kind in KINDS {
        for front in FRONTS {
            configs.push(config(kind, front)?);
        }
        configs.push(config(kind, "position = 'learnt'\nbias = false")?);
        if kind != "speech-ctc" {
            configs.push(config(kind, CONVOLUTIONS)?);
            let plain = format!("{CONVOLUTIONS}\nbias = false");
            configs.push(config(kind, &plain)?);
        }
    }
    for keys in patches::FRONTS {
        configs.push(made_of(&format!("kind = 'speech-classifier'\n{keys}"))?);
    }
    Ok(configs)
}

pub(crate) fn frames(seed: u64, n: usize) -> Outcome<Vec<f32>> {
    let x = randn(seed, (n * FEATURES,))?.to_vec1::<f64>()?;
    Ok(x.into_iter().map(|x| x as f32).collect())
}

pub(crate) fn input(values: Vec<f32>) -> Outcome<Input> {
    Ok(Input::Frames(Rows::new(values, FEATURES)?))
}

fn logits(model: &Model, values: Vec<f32>, walls: &[u32]) -> Outcome<Tensor> {
    let mask = Mask::new(model.pattern().clone(), walls)?;
    Ok(model.logits(&input(values)?, &mask, Pass::eval())?)
}

/// Targets of the recordings between [`WALLS`].
pub(crate) fn targets(model: &Model) -> Targets {
    match model {
        Model::SpeechClassifier(_) => vec![0, 3, 1].into(),
        Model::SpeechFrames(_) => (0..14)
            .map(|i| if i % 4 == 3 { IGNORED } else { i % 3 })
            .collect::<Vec<u32>>()
            .into(),
        _ => Targets::Sequences {
            labels: [2, 0, 1, 3].into(),
            ends: [2, 3, 4].into(),
        },
    }
}

#[test]
fn the_names_are_the_documented_file_format() -> Outcome {
    let shapes = |config: &ModelConfig| -> Outcome<BTreeMap<String, Vec<usize>>> {
        let store = ParamStore::new(1, DType::F32, &Device::Cpu);
        Model::build(config, store.var_builder())?;
        let vars = store.named_vars().into_iter();
        Ok(vars
            .map(|(name, var)| (name, var.dims().to_vec()))
            .collect())
    };
    for (kind, rows) in [
        ("speech-classifier", CLASSES),
        ("speech-frames", CLASSES),
        ("speech-ctc", CLASSES + 1),
    ] {
        let shapes = shapes(&config(kind, FRONTS[2])?)?;
        assert_eq!(shapes["embed.weight"], [8, 3 * FEATURES], "{kind}");
        assert_eq!(shapes["embed.bias"], [8], "{kind}");
        assert_eq!(shapes["head.weight"], [rows, 8], "{kind}");
        assert_eq!(shapes["head.bias"], [rows], "{kind}");
    }
    Ok(())
}

#[test]
fn parameters_are_counted_before_they_are_made() -> Outcome {
    for config in every_kind_and_front()? {
        let store = ParamStore::new(1, DType::F32, &Device::Cpu);
        Model::build(&config, store.var_builder())?;
        let made: usize = store
            .named_vars()
            .iter()
            .map(|(_, var)| var.elem_count())
            .sum();
        assert_eq!(cost::n_params(&config), made as u64, "{config:?}");
    }
    Ok(())
}

/// The front end by its definition: windows of frames, zeros behind the end.
#[test]
fn positions_are_windows_of_frames() -> Outcome {
    for front in FRONTS {
        let (store, model) = shaken(&config("speech-frames", front)?)?;
        let config = config("speech-frames", front)?;
        let speech = config.speech().ok_or("no [model.speech]")?;
        let (window, stride) = (speech.window(), speech.stride());
        let values = frames(3, 14)?;
        // A model of windows one frame wide, over windows that were made here.
        let mut stacked = Vec::new();
        let mut walls = vec![0u32];
        for wall in WALLS.windows(2) {
            let (start, end) = (wall[0] as usize, wall[1] as usize);
            let n = (end - start).div_ceil(stride);
            for i in 0..n {
                for j in 0..window {
                    let frame = start + i * stride + j;
                    for k in 0..FEATURES {
                        let x = (frame < end).then(|| values[frame * FEATURES + k]);
                        stacked.push(x.unwrap_or(0.0));
                    }
                }
            }
            walls.push(walls[walls.len() - 1] + n as u32);
        }
        let table = format!("n_features = {}", window * FEATURES);
        let plain: ModelConfig = toml::from_str(&format!(
            "kind = 'speech-frames'\nd_model = 8\nn_heads = 2\nn_layers = 2\n\
             mask = {{ band = {{ left = 1, right = 1 }} }}\nspeech = {{ {table} }}\n\
             max_seq_len = 16\nn_classes = {CLASSES}"
        ))?;
        let plain = Model::build(&plain, store.var_builder())?;
        let mask = Mask::new(plain.pattern().clone(), walls)?;
        let stacked = Input::Frames(Rows::new(stacked, window * FEATURES)?);
        let want = plain.logits(&stacked, &mask, Pass::eval())?;
        assert_close(&logits(&model, values, &WALLS)?, &want, 1e-12)?;
    }
    Ok(())
}

/// The convolutions by their definition: sums over three rows, zeros beyond the ends, the
/// GELU as an integral.
#[test]
fn two_convolutions_are_those_of_plain_loops() -> Outcome {
    fn gelu(x: f64) -> f64 {
        // The normal distribution up to x, by Simpson's rule from 0.
        let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let (n, mut sum) = (2000, density(0.0) + density(x));
        for i in 1..n {
            let weight = if i % 2 == 1 { 4.0 } else { 2.0 };
            sum += weight * density(x * f64::from(i) / f64::from(n));
        }
        x * (0.5 + sum * x / f64::from(n) / 3.0)
    }
    let (store, _) = shaken(&config("speech-frames", CONVOLUTIONS)?)?;
    let speech = *config("speech-frames", CONVOLUTIONS)?
        .speech()
        .ok_or("no [model.speech]")?;
    let front = FrontEnd::new(&speech, 8, true, store.detached().pp("embed"))?;
    let vars: BTreeMap<_, _> = store.named_vars().into_iter().collect();
    let conv = |name: &str, rows: &[Vec<f64>]| -> Outcome<Vec<Vec<f64>>> {
        let weight = vars[&format!("embed.{name}.weight")].to_vec2::<f64>()?;
        let bias = vars[&format!("embed.{name}.bias")].to_vec1::<f64>()?;
        let mut out = Vec::new();
        for middle in (0..rows.len() as i64).step_by(2) {
            let mut row = bias.clone();
            for (channel, sum) in row.iter_mut().enumerate() {
                for tap in 0..3 {
                    let read = usize::try_from(middle + tap - 1).ok();
                    let Some(read) = read.and_then(|at| rows.get(at)) else {
                        continue;
                    };
                    for (k, x) in read.iter().enumerate() {
                        *sum += weight[channel][tap as usize * read.len() + k] * x;
                    }
                }
                *sum = gelu(*sum);
            }
            out.push(row);
        }
        Ok(out)
    };
    // Every length up to two positions and a frame.
    for n in 1..=9usize {
        let values = frames(n as u64, n)?;
        let rows: Vec<Vec<f64>> = values
            .chunks(FEATURES)
            .map(|row| row.iter().map(|&x| f64::from(x)).collect())
            .collect();
        let want = conv("second", &conv("first", &rows)?)?;
        let mask = Mask::single(attn_core::Pattern::Full, n)?;
        let (got, mask) = front.forward(&Rows::new(values, FEATURES)?, &mask)?;
        assert_eq!(
            (mask.n_queries(), want.len()),
            (n.div_ceil(4), n.div_ceil(4))
        );
        assert_eq!(front.n_positions(n), want.len());
        let want = Tensor::new(want, &Device::Cpu)?;
        assert_close(&got, &want, 1e-9)?;
    }
    Ok(())
}

#[test]
fn recordings_of_a_batch_do_not_hear_each_other() -> Outcome {
    for config in every_kind_and_front()? {
        let (_, model) = shaken(&config)?;
        let (a, b, c) = (frames(1, 7)?, frames(2, 1)?, frames(3, 6)?);
        let packed = logits(&model, [&a[..], &b, &c].concat(), &WALLS)?;
        let alone = [
            logits(&model, a, &[0, 7])?,
            logits(&model, b, &[0, 1])?,
            logits(&model, c, &[0, 6])?,
        ];
        assert_close(&packed, &Tensor::cat(&alone, 0)?, 1e-12)?;
    }
    Ok(())
}

/// Two layers that read one position on either side reach two positions.
#[test]
fn a_band_hears_no_further_than_its_layers_reach() -> Outcome {
    let (_, model) = shaken(&config("speech-frames", "speech = { stride = 2 }")?)?;
    let values = frames(5, 16)?;
    let before = logits(&model, values.clone(), &[0, 16])?;
    let mut changed = values;
    // Frame 9 is in position 4: positions 2 to 6 may hear it.
    changed[9 * FEATURES] += 1.0;
    let after = logits(&model, changed, &[0, 16])?;
    for position in 0..8usize {
        let error = max_error(&before.get(position)?, &after.get(position)?)?;
        match (2..=6).contains(&position) {
            true => assert!(error > 1e-6, "position {position} is deaf"),
            false => assert_eq!(error, 0.0, "position {position} hears too far"),
        }
    }
    Ok(())
}

#[test]
fn every_parameter_is_reached_and_its_gradient_is_right() -> Outcome {
    for config in every_kind_and_front()? {
        let (store, model) = shaken(&config)?;
        let mask = Mask::new(model.pattern().clone(), WALLS)?;
        let input = input(frames(8, 14)?)?;
        let targets = targets(&model);
        let loss = || {
            let options = LossOptions::default();
            model.loss(&input, &mask, &targets, options, Pass::eval())
        };
        reach(&loss()?, store.named_vars())?;
        let vars = chosen(
            &store,
            &["embed", "head", "position", "class_token", "distillation"],
        );
        let inputs: Vec<_> = vars
            .iter()
            .map(|(name, var)| (name.as_str(), var))
            .collect();
        gradcheck_all(&inputs, loss)?;
    }
    Ok(())
}

#[test]
fn what_is_measured_is_what_is_trained() -> Outcome {
    for config in every_kind_and_front()? {
        let (_, model) = shaken(&config)?;
        let mask = Mask::new(model.pattern().clone(), WALLS)?;
        let (input, targets) = (input(frames(8, 14)?)?, targets(&model));
        let loss = model.loss(
            &input,
            &mask,
            &targets,
            LossOptions::default(),
            Pass::eval(),
        )?;
        let evaluation = model.evaluate(&input, &mask, &targets)?;
        let difference = evaluation.loss().ok_or("no targets")? - loss.to_scalar::<f64>()?;
        assert!(difference.abs() < 1e-9, "{difference}: {config:?}");
    }
    Ok(())
}

/// Four symbols, each a feature pattern of its own, three frames long.
#[test]
fn a_recogniser_learns_to_spell() -> Outcome {
    let config = config("speech-ctc", "position = 'none'")?;
    let store = ParamStore::new(5, DType::F32, &Device::Cpu);
    let model = Model::build(&config, store.var_builder())?;
    let strings: [&[u32]; 4] = [&[0, 1, 2], &[3, 0], &[2, 2, 1], &[1, 3, 3, 0]];
    let (mut values, mut walls, mut labels, mut ends) = (vec![], vec![0], vec![], vec![]);
    for string in strings {
        for &symbol in string {
            for i in 0..3u32 {
                let strength = if i == 1 { 2.0 } else { 0.2 };
                let bit = |b: u32| {
                    if symbol >> b & 1 == 1 {
                        strength
                    } else {
                        -strength
                    }
                };
                values.extend([bit(0), bit(1), strength - 1.0]);
            }
        }
        walls.push((values.len() / FEATURES) as u32);
        labels.extend_from_slice(string);
        ends.push(labels.len() as u32);
    }
    let input = input(values)?;
    let mask = Mask::new(model.pattern().clone(), walls)?;
    let targets = Targets::Sequences {
        labels: labels.into(),
        ends: ends.into(),
    };
    let params = ParamsAdamW {
        lr: 1e-2,
        weight_decay: 0.0,
        ..Default::default()
    };
    let mut optimizer = AdamW::new(store.vars(), params)?;
    for step in 0..150 {
        let pass = Pass::train(0, step);
        let loss = model.loss(&input, &mask, &targets, LossOptions::default(), pass)?;
        optimizer.backward_step(&loss)?;
    }
    let evaluation = model.evaluate(&input, &mask, &targets)?;
    assert_eq!(evaluation.scores().cer, Some(0.0));
    let (Model::SpeechCtc(model), Input::Frames(frames)) = (&model, &input) else {
        return Err("another model".into());
    };
    for width in [1, 8] {
        assert_eq!(model.spell(frames, &mask, width)?, strings, "width {width}");
    }
    Ok(())
}

#[test]
fn words_are_measured_where_a_symbol_stands_between_them() -> Outcome {
    for (keys, separator) in [("", None), ("speech = { word_separator = 0 }", Some(0))] {
        let (_, model) = shaken(&config("speech-ctc", keys)?)?;
        let mask = Mask::new(model.pattern().clone(), WALLS)?;
        let values = frames(8, 14)?;
        let evaluation = model.evaluate(&input(values.clone())?, &mask, &targets(&model))?;
        let Model::SpeechCtc(model) = &model else {
            return Err("another model".into());
        };
        let spelt = model.spell(&Rows::new(values, FEATURES)?, &mask, 1)?;
        let mut edits = Edits::default();
        for (spelt, right) in spelt.iter().zip([&[2, 0][..], &[1], &[3]]) {
            edits.add(spelt, right, separator);
        }
        assert_eq!(evaluation.outcome, models::Outcome::Edits(edits));
        assert_eq!(evaluation.scores().wer.is_some(), separator.is_some());
    }
    let beyond = config("speech-ctc", "speech = { word_separator = 4 }").unwrap_err();
    assert!(
        beyond.to_string().contains("speech.word_separator = 4"),
        "{beyond}"
    );
    let useless = config("speech-frames", "speech = { word_separator = 0 }").unwrap_err();
    assert!(
        useless.to_string().contains("speech.word_separator = 0"),
        "{useless}"
    );
    Ok(())
}

#[test]
fn what_cannot_be_read_is_refused_with_its_sizes() -> Outcome {
    let (_, model) = shaken(&config("speech-ctc", "speech = { stride = 4 }")?)?;
    let mask = Mask::new(model.pattern().clone(), WALLS)?;
    let wide = Input::Frames(Rows::new(vec![0.0; 14 * 5], 5)?);
    let error = model.logits(&wide, &mask, Pass::eval()).unwrap_err();
    assert!(
        error.to_string().contains("frames of 5 features"),
        "{error}"
    );
    let short = input(frames(1, 10)?)?;
    let error = model.logits(&short, &mask, Pass::eval()).unwrap_err();
    assert!(
        error.to_string().contains("10 frames, but the mask has 14"),
        "{error}"
    );
    let tokens = Input::Tokens([0; 14].into());
    assert!(model.logits(&tokens, &mask, Pass::eval()).is_err());
    // Seven frames make two positions, in which three symbols cannot be.
    let targets = Targets::Sequences {
        labels: [0, 1, 2].into(),
        ends: [3, 3, 3].into(),
    };
    let frames = input(frames(1, 14)?)?;
    let error = model
        .loss(
            &frames,
            &mask,
            &targets,
            LossOptions::default(),
            Pass::eval(),
        )
        .unwrap_err();
    assert!(
        error.to_string().contains("sequence 0 has 2 frames"),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_front_end_that_misses_frames_is_refused() {
    for (table, fault) in [
        ("window = 2, stride = 3", "speech.window = 2"),
        ("stride = 0", "speech.stride = 0"),
        ("window = 65", "speech.window = 65"),
        ("n_features = 0", "speech.n_features = 0"),
        ("front = 'convolutions', stride = 2", "speech.stride = 2"),
        ("front = 'convolutions', window = 3", "speech.window = 3"),
    ] {
        let error = config("speech-ctc", &format!("speech = {{ {table} }}")).unwrap_err();
        assert!(error.to_string().contains(fault), "{error}");
    }
}
