use std::fs;
use std::path::PathBuf;

use attn_core::{Mask, ParamStore, Pass};
use candle_core::{DType, Device};
use data::text::tokenizer::Unknown;
use models::Input;

use super::*;
use crate::error::{Error, Exit};
use crate::model_file::{NamedTensor, write_model_file};

type Outcome<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A tiny model that is written to `folder`, its description, and what it was made from.
fn written(folder: &std::path::Path, classifier: bool) -> Outcome<(Description, ParamStore)> {
    let (description, store) = made(classifier)?;
    let tensors = store.tensors();
    write(folder, &description, &named(&tensors))?;
    Ok((description, store))
}

fn made(classifier: bool) -> Outcome<(Description, ParamStore)> {
    let model = match classifier {
        true => "kind = 'text-classifier'\nn_classes = 2",
        false => "kind = 'text-lm'",
    };
    let config: RunConfig = format!(
        "[run]\nname = 'tiny'\n[data]\npath = 'x.txt'\nseq_len = 8\n\
         [model]\nd_model = 8\nn_heads = 2\nn_layers = 1\nvocab_size = 4\nmax_seq_len = 8\n{model}\n\
         [train]\nsteps = 1\nbatch_size = 1\nlr = 1e-3\n"
    )
    .parse()?;
    let store = ParamStore::new(1, DType::F32, &Device::Cpu);
    Model::build(&config.model, store.var_builder())?;
    let labels = ["no", "yes"].map(str::to_owned);
    let description = Description {
        config,
        tokenizer: Some(Tokenizer::chars("\nabc".chars(), Unknown::Refused)),
        labels: labels.into_iter().filter(|_| classifier).collect(),
        graphs: None,
        features: None,
        results: BTreeMap::from([("val_loss".to_owned(), "1.5".to_owned())]),
        base: None,
    };
    Ok((description, store))
}

/// `tensors`, ready to be written.
fn named(tensors: &BTreeMap<String, Tensor>) -> Vec<NamedTensor<'_>> {
    tensors
        .iter()
        .map(|(name, tensor)| NamedTensor::tensor(name.as_str(), tensor))
        .collect()
}

fn refusal(path: impl Into<PathBuf>, about: &str) -> Error {
    let error = load(&path.into()).expect_err("this cannot be loaded");
    let message = error.to_string();
    assert!(message.contains(about), "`{about}` is not in: {message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    error
}

#[test]
fn what_is_written_loads_from_every_name_it_has() -> Outcome {
    for classifier in [false, true] {
        let run = tempfile::tempdir()?;
        let folder = run.path().join("model");
        let (description, store) = written(&folder, classifier)?;
        let alone = run.path().join("alone.safetensors");
        fs::copy(folder.join(WEIGHTS), &alone)?;

        let (input, mask) = (
            Input::Tokens([0, 3, 1].into()),
            Mask::single(attn_core::Pattern::Causal, 3)?,
        );
        let logits = |model: &Model| -> candle_core::Result<Vec<Vec<f32>>> {
            model.logits(&input, &mask, Pass::eval())?.to_vec2()
        };
        let want = logits(&Model::build(&description.config.model, store.detached())?)?;
        for path in [run.path(), &folder, &folder.join(WEIGHTS), &alone] {
            let loaded = load(path)?;
            assert_eq!(logits(&loaded.model)?, want);
            assert_eq!(loaded.description.config, description.config);
            assert_eq!(loaded.description.tokenizer, description.tokenizer);
            assert_eq!(loaded.description.labels, description.labels);
            assert_eq!(loaded.description.results, description.results);
            assert_eq!(loaded.tensors.len(), store.names().len());
        }
    }
    Ok(())
}

#[test]
fn an_export_is_the_same_model() -> Outcome {
    let here = tempfile::tempdir()?;
    let (from, to) = (here.path().join("model"), here.path().join("to/there"));
    written(&from, true)?;
    export(&from, &to, &ExportOptions::default())?;
    for name in [WEIGHTS, CONFIG, TOKENIZER, CARD] {
        assert_eq!(
            fs::read(from.join(name))?,
            fs::read(to.join(name))?,
            "{name}"
        );
    }
    let config: serde_json::Value = serde_json::from_str(&fs::read_to_string(to.join(CONFIG))?)?;
    assert_eq!(config["model"]["d_model"], 8);
    assert_eq!(config["labels"], serde_json::json!(["no", "yes"]));
    let card = fs::read_to_string(to.join(CARD))?;
    assert!(
        card.contains("\n# tiny\n")
            && card.starts_with("---\npipeline_tag: text-classification\n---\n")
            && card.contains("\nname = \"tiny\"\n")
            && card.contains("| val_loss | 1.5 |"),
        "{card}"
    );

    for occupied in [&from, &from.join(WEIGHTS)] {
        let error =
            export(&from, occupied, &ExportOptions::default()).expect_err("there is something");
        assert_eq!(error.exit(), Exit::CannotCreate);
    }
    Ok(())
}

#[test]
fn what_is_no_model_is_told_with_a_remedy() -> Outcome {
    let here = tempfile::tempdir()?;
    let missing = refusal(here.path().join("none"), "no such file");
    assert_eq!(missing.exit(), Exit::Usage);
    assert_eq!(
        refusal(here.path(), "holds no model.safetensors").exit(),
        Exit::Data
    );
    fs::create_dir(here.path().join("checkpoints"))?;
    refusal(here.path(), "--resume");
    let text = here.path().join("text.safetensors");
    fs::write(&text, "not a model")?;
    assert_eq!(refusal(&text, "text.safetensors").exit(), Exit::Data);
    write_model_file(&text, &BTreeMap::new(), &[])?;
    refusal(&text, "carries no configuration");
    Ok(())
}

#[test]
fn parts_that_do_not_belong_together_are_refused() -> Outcome {
    let here = tempfile::tempdir()?;
    let path = here.path().join(WEIGHTS);
    let (description, store) = made(true)?;
    let tensors = store.tensors();
    let good = description.metadata();
    let with = |key: &str, value: &str, about: &str| -> Outcome {
        let mut header = good.clone();
        header.insert(key.to_owned(), value.to_owned());
        write_model_file(&path, &header, &named(&tensors))?;
        assert_eq!(refusal(&path, about).exit(), Exit::Data);
        Ok(())
    };
    let config = &good["config"];
    with("config", "[model", "its configuration cannot be used")?;
    with(
        "config",
        &config.replace("d_model = 8", "d_model = 9"),
        "n_heads = 2",
    )?;
    with(
        "config",
        &config.replace("d_model = 8", "d_model = 16"),
        "instead of [16, 16]",
    )?;
    with(
        "config",
        &config.replace("n_layers = 1", "n_layers = 2"),
        "`blocks.1.attn.wk.bias` is missing",
    )?;
    with(
        "config",
        &config.replace("vocab_size = 4", "vocab_size = 3"),
        "its tokenizer has 4 tokens, the model 3",
    )?;
    with(
        "config",
        &config.replace("vocab_size = 4\n", ""),
        "its configuration is incomplete",
    )?;
    with("labels", "[]", "it has 0 labels and 2 classes")?;
    with(
        "labels",
        "[\"a\", \"b\", \"c\"]",
        "it has 3 labels and 2 classes",
    )?;
    with("labels", "[1]", "its `labels` cannot be read")?;
    with("tokenizer", "{}", "damaged tokenizer")?;
    Ok(())
}

#[test]
fn a_tokenizer_beside_the_weights_serves_where_the_header_has_none() -> Outcome {
    let here = tempfile::tempdir()?;
    let (description, store) = written(here.path(), false)?;
    let mut header = description.metadata();
    header.remove("tokenizer");
    let tensors = store.tensors();
    write_model_file(&here.path().join(WEIGHTS), &header, &named(&tensors))?;
    assert_eq!(
        load(here.path())?.description.tokenizer,
        description.tokenizer
    );
    fs::remove_file(here.path().join(TOKENIZER))?;
    refusal(here.path(), "tokenizer.json");
    Ok(())
}

#[test]
fn a_language_model_goes_to_hugging_face_s_form_and_back_to_the_bit() -> Outcome {
    let here = tempfile::tempdir()?;
    let (from, to) = (here.path().join("model"), here.path().join("hf"));
    let (_, store) = written(&from, false)?;
    let options = ExportOptions {
        format: Format::HuggingFace,
        ..ExportOptions::default()
    };
    export(&from, &to, &options)?;
    let config: serde_json::Value = serde_json::from_str(&fs::read_to_string(to.join(CONFIG))?)?;
    assert_eq!(config["model_type"], "gpt2");
    let loaded = load(&to)?;
    let bits = |tensor: &Tensor| -> Outcome<Vec<u32>> {
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        Ok(values.into_iter().map(f32::to_bits).collect())
    };
    for (name, tensor) in store.tensors() {
        assert_eq!(bits(&loaded.tensors[&name])?, bits(&tensor)?, "{name}");
    }
    assert_eq!(loaded.tensors.len(), store.names().len());

    // What lies about its sizes, or lacks a part, is refused in one line.
    let text = fs::read_to_string(to.join(CONFIG))?;
    let lie = |old: &str, new: &str| fs::write(to.join(CONFIG), text.replace(old, new));
    lie("\"n_positions\": 8", "\"n_positions\": 9")?;
    refusal(&to, "do not belong together");
    lie("\"n_layer\": 1", "\"n_layer\": 2")?;
    refusal(&to, "h.1.");
    lie("\"n_head\": 2", "\"n_head\": 0")?;
    refusal(&to, "n_head");
    lie("gpt2", "rwkv")?;
    refusal(&to, "rwkv");
    fs::write(to.join(CONFIG), &text)?;
    fs::remove_file(to.join(TOKENIZER))?;
    refusal(&to, "save_pretrained");
    Ok(())
}
