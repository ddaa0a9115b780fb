//! Folders in Hugging Face's form that are damaged, or lie: every command refuses them in one
//! line, and nothing is left behind.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use attn_core::ParamStore;
use candle_core::{DType, Device};
use data::text::Tokenizer;
use models::Model;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use train::model_file::NamedTensor;
use train::model_folder::{Description, write};

use crate::command::train;
use crate::tiny_run::TestResult;

const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const ONE: &str = "bert.embeddings.word_embeddings.weight";

const RUN: &str = "[run]\nname = 'x'\n[init]\nfrom = 'bad'\n[data]\npath = 'data.tsv'\n\
                   seq_len = 16\n[model]\nkind = 'text-classifier'\n\
                   [train]\nsteps = 1\nbatch_size = 2\nlr = 1e-3\n";

/// Each command that reads a model, and what it would make.
const COMMANDS: [(&[&str], &str); 4] = [
    (&["predict", "bad", "a text"], ""),
    (&["embed", "bad", "a text"], ""),
    (&["export", "bad", "--out", "made"], "made"),
    (&["fit", "run.toml", "--out", "run", "--quiet"], "run"),
];

/// A sound BERT, in one file and in shards, and a run that starts from it.
struct Models(TempDir);

impl Models {
    fn new() -> TestResult<Self> {
        let models = Self(TempDir::new()?);
        let path = models.0.path();
        let config: train::config::RunConfig = "[run]\nname = 'tiny'\n\
             [data]\npath = 'x.txt'\nseq_len = 16\n\
             [model]\nkind = 'text-classifier'\nn_classes = 2\nd_model = 16\nn_heads = 2\n\
             n_layers = 1\nvocab_size = 256\nmax_seq_len = 16\nnorm_placement = 'post'\n\
             embed_norm = true\ntoken_types = 2\npooling = 'first'\npooler = true\n\
             [train]\nsteps = 1\nbatch_size = 1\nlr = 1e-3\n"
            .parse()?;
        let store = ParamStore::new(1, DType::F32, &Device::Cpu);
        Model::build(&config.model, store.var_builder())?;
        let description = Description {
            config,
            tokenizer: Some(Tokenizer::bytes()),
            labels: ["spam", "ham"].map(str::to_owned).into(),
            graphs: None,
            features: None,
            results: BTreeMap::new(),
            base: None,
        };
        let tensors = store.tensors();
        let named: Vec<_> = tensors
            .iter()
            .map(|(name, tensor)| NamedTensor::tensor(name.as_str(), tensor))
            .collect();
        write(&path.join("native"), &description, &named)?;
        for (name, shard) in [("sound", "1GB"), ("shards", "8kB")] {
            let format = ["export", "native", "--format", "hf"];
            let arguments = [&format[..], &["--out", name, "--max-shard-size", shard]].concat();
            let (code, _, errors) = train(path, &arguments)?;
            assert_eq!((code, errors.as_str()), (0, ""));
        }
        fs::write(path.join("run.toml"), RUN)?;
        let data: String = (0..8)
            .map(|i| format!("buy {i}\tspam\nhello {i}\tham\n"))
            .collect();
        fs::write(path.join("data.tsv"), format!("text\tlabel\n{data}"))?;
        Ok(models)
    }

    /// Copies the model `from` to `bad`, and what there is there instead is gone.
    fn copy(&self, from: &str) -> TestResult {
        let (from, bad) = (self.0.path().join(from), self.0.path().join("bad"));
        if bad.exists() {
            fs::remove_dir_all(&bad)?;
        }
        fs::create_dir(&bad)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            fs::copy(entry.path(), bad.join(entry.file_name()))?;
        }
        Ok(())
    }

    /// Asserts that, once `damage` is done to a copy of the model `from`, every command ends
    /// with 65 and one line that has `words`, and makes nothing.
    #[track_caller]
    fn refused(
        &self,
        from: &str,
        words: &str,
        damage: impl FnOnce(&Path) -> TestResult,
    ) -> TestResult {
        let path = self.0.path();
        self.copy(from)?;
        damage(&path.join("bad"))?;
        for (arguments, made) in COMMANDS {
            let (code, said, errors) = train(path, arguments)?;
            assert_eq!(code, 65, "{arguments:?}, {words}: {errors}");
            assert_eq!(said, "", "{arguments:?}");
            assert_eq!(errors.lines().count(), 1, "{arguments:?}: {errors}");
            assert!(
                errors.starts_with("error: bad/") && errors.contains(words),
                "{arguments:?}, {words}: {errors}"
            );
            assert!(errors.len() < 1500, "{errors}");
            assert!(
                made.is_empty() || !path.join(made).exists(),
                "{arguments:?}"
            );
        }
        Ok(())
    }

    /// As [`Models::refused`], with this config.json.
    #[track_caller]
    fn lie(&self, key: &str, value: Value, words: &str) -> TestResult {
        self.refused("sound", words, |bad| {
            let path = bad.join("config.json");
            let mut config: Value = serde_json::from_slice(&fs::read(&path)?)?;
            config[key] = value;
            Ok(fs::write(path, config.to_string())?)
        })
    }

    /// As [`Models::refused`], with another header before the tensors.
    #[track_caller]
    fn header(&self, words: &str, change: impl FnOnce(&mut Map<String, Value>)) -> TestResult {
        self.refused("sound", words, |bad| {
            let path = bad.join(WEIGHTS);
            let bytes = fs::read(&path)?;
            let n = u64::from_le_bytes(bytes[..8].try_into()?) as usize;
            let mut header: Map<String, Value> = serde_json::from_slice(&bytes[8..8 + n])?;
            change(&mut header);
            Ok(fs::write(path, raw(&Value::from(header), &bytes[8 + n..]))?)
        })
    }
}

/// A safetensors file.
fn raw(header: &Value, data: &[u8]) -> Vec<u8> {
    let header = header.to_string();
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), data].concat()
}

#[test]
fn the_sound_ones_are_used() -> TestResult {
    let models = Models::new()?;
    let path = models.0.path();
    for from in ["sound", "shards"] {
        models.copy(from)?;
        for (arguments, made) in COMMANDS {
            let (code, _, errors) = train(path, arguments)?;
            assert_eq!((code, errors.as_str()), (0, ""), "{arguments:?}");
            if !made.is_empty() {
                fs::remove_dir_all(path.join(made))?;
            }
        }
    }
    Ok(())
}

#[test]
fn damaged_weights_are_refused() -> TestResult {
    let models = Models::new()?;
    let offsets = |tensor: &mut Value, by: [i64; 2]| {
        for (i, by) in by.into_iter().enumerate() {
            let at = tensor["data_offsets"][i].as_i64().unwrap_or(0);
            tensor["data_offsets"][i] = json!(at + by);
        }
    };
    models.header("is larger than any file", |header| {
        header[ONE]["shape"] = json!([u64::MAX, 2]);
    })?;
    models.header("is larger than any file", |header| {
        header[ONE]["shape"] = json!([1u64 << 40, 1u64 << 40]);
    })?;
    models.header("has the range", |header| {
        header[ONE]["shape"] = json!([1u64 << 40]);
    })?;
    models.header("has the range", |header| {
        header[ONE]["data_offsets"] = json!([16, 0]);
    })?;
    models.header("of the data instead of", |header| {
        offsets(&mut header[ONE], [4, 4]);
    })?;
    models.header("of the data instead of", |header| {
        let first = header
            .values()
            .find(|tensor| tensor["data_offsets"][0] == 0);
        let end = first
            .and_then(|tensor| tensor["data_offsets"][1].as_i64())
            .unwrap_or(0);
        let length = header[ONE]["data_offsets"][1].as_i64().unwrap_or(0)
            - header[ONE]["data_offsets"][0].as_i64().unwrap_or(0);
        header[ONE]["data_offsets"] = json!([end / 2, end / 2 + length]);
    })?;
    models.header("the header is not valid", |header| {
        header[ONE]["data_offsets"] = json!([-4, 4]);
    })?;
    models.header("unknown element type `F8_X`", |header| {
        header[ONE]["dtype"] = json!("F8_X");
    })?;
    models.header(
        "holds I32, only F32, F16, BF16 and F64 are weights",
        |header| {
            header[ONE]["dtype"] = json!("I32");
        },
    )?;
    models.header("do not belong together", |header| {
        header[ONE]["shape"] = json!([16, 256]);
    })?;
    Ok(())
}

#[test]
fn cut_or_endless_weights_are_refused() -> TestResult {
    let models = Models::new()?;
    for (length, words) in [
        (0, "too few for a header"),
        (7, "too few for a header"),
        (9, "the header claims"),
        (3000, "has the range"),
    ] {
        models.refused("sound", words, |bad| {
            let file = File::options().write(true).open(bad.join(WEIGHTS))?;
            Ok(file.set_len(length)?)
        })?;
    }
    models.refused("sound", "the tensors fill", |bad| {
        let file = File::options().write(true).open(bad.join(WEIGHTS))?;
        let length = file.metadata()?.len();
        Ok(file.set_len(length + 4)?)
    })?;
    // Room for all that they claim, but only on paper.
    for claimed in [150u64 << 20, 1 << 40] {
        models.refused("sound", "the header claims", |bad| {
            let path = bad.join(WEIGHTS);
            fs::write(&path, claimed.to_le_bytes())?;
            let file = File::options().write(true).open(&path)?;
            Ok(file.set_len((claimed + 16).min(200 << 20))?)
        })?;
    }
    Ok(())
}

#[test]
fn a_hundred_thousand_tensors_are_refused() -> TestResult {
    let models = Models::new()?;
    let with = |n: usize, prefix: &'static str| {
        move |header: &mut Map<String, Value>| {
            let none = json!({ "dtype": "F32", "shape": [0], "data_offsets": [0, 0] });
            header.extend((0..n).map(|i| (format!("{prefix}.{i}"), none.clone())));
        }
    };
    models.header("more than 100000 tensors", with(100_000, "x"))?;
    models.header("`bert.x.0`, and 89999 more", with(90_000, "bert.x"))
}

#[test]
fn pickles_are_refused_with_the_way_to_convert_them() -> TestResult {
    let models = Models::new()?;
    let pickle = b"PK\x03\x04\x00\x00\x08\x08 model/data.pkl";
    for name in ["pytorch_model.bin", "model.pt", "weights.pth", "model.ckpt"] {
        models.refused("sound", "is a pickle, which can run code", |bad| {
            fs::remove_file(bad.join(WEIGHTS))?;
            Ok(fs::write(bad.join(name), pickle)?)
        })?;
    }
    // Under the name of another format, too.
    models.refused("sound", "is a pickle", |bad| {
        Ok(fs::write(bad.join(WEIGHTS), pickle)?)
    })?;
    models.refused("sound", "is a pickle", |bad| {
        Ok(fs::write(
            bad.join(WEIGHTS),
            b"\x80\x04\x95\x00\x00\x00\x00\x10\x00}.",
        )?)
    })
}

#[test]
fn a_configuration_that_lies_is_refused() -> TestResult {
    let models = Models::new()?;
    let together = "the two do not belong together";
    for (key, value, words) in [
        ("hidden_size", json!(32), together),
        ("intermediate_size", json!(1 << 18), together),
        ("vocab_size", json!(1 << 24), together),
        ("vocab_size", json!(10), together),
        ("max_position_embeddings", json!(1 << 24), together),
        ("type_vocab_size", json!(16), together),
        (
            "hidden_size",
            json!(0),
            "hidden_size = 0 is not a whole number",
        ),
        (
            "hidden_size",
            json!(1u64 << 40),
            "hidden_size = 1099511627776",
        ),
        ("vocab_size", json!(1e30), "vocab_size = 1e+30"),
        (
            "num_hidden_layers",
            json!(1024),
            "the weights lack `bert.encoder.layer.1.",
        ),
        (
            "num_attention_heads",
            json!(3),
            "num_attention_heads = 3 is not a divisor",
        ),
        ("model_type", json!("mixtral"), "model_type = \"mixtral\""),
        (
            "quantization_config",
            json!({ "bits": 4 }),
            "use the weights as they were before",
        ),
        (
            "id2label",
            json!({ "0": "a", "1": "b", "2": "c" }),
            "`classifier.weight` is of shape [2, 16], but config.json asks for [3, 16]",
        ),
    ] {
        models.lie(key, value, words)?;
    }
    Ok(())
}

#[test]
fn a_configuration_that_is_none_is_refused() -> TestResult {
    let models = Models::new()?;
    let deep = format!(
        "{}0{}",
        "{\"model_type\":".repeat(10_000),
        "}".repeat(10_000)
    );
    let large = format!("{{\"model_type\": \"{}\"}}", "x".repeat(2 << 20));
    for (text, words) in [
        ("", "config.json: it is not JSON: EOF"),
        ("[\"model_type\"]", "config.json: it holds no JSON object"),
        (
            "{\"model_type\": \"bert\"",
            "config.json: it is not JSON: EOF",
        ),
        (
            "{\"hidden_size\": 16}",
            "config.json: `model_type` is missing",
        ),
        (
            &deep,
            "config.json: it is not JSON: recursion limit exceeded",
        ),
        (&large, "config.json: is larger than 1 MiB"),
    ] {
        models.refused("sound", words, |bad| {
            Ok(fs::write(bad.join("config.json"), text)?)
        })?;
    }
    models.refused("sound", "config.json: is not UTF-8", |bad| {
        Ok(fs::write(
            bad.join("config.json"),
            b"{\"model_type\": \"b\xe9rt\"}",
        )?)
    })
}

#[test]
fn a_tokenizer_of_another_model_is_refused() -> TestResult {
    let models = Models::new()?;
    models.refused("sound", "has 257 tokens, the embedding 256 rows", |bad| {
        let path = bad.join("tokenizer.json");
        let mut json: Value = serde_json::from_slice(&fs::read(&path)?)?;
        json["model"]["vocab"]["one more"] = json!(256);
        Ok(fs::write(path, json.to_string())?)
    })?;
    models.refused("sound", "tokenizer.json: is not there", |bad| {
        Ok(fs::remove_file(bad.join("tokenizer.json"))?)
    })?;
    let deep = "[".repeat(10_000);
    for text in ["", "{}", "[]", "{\"model\": {\"type\": \"BPE\"}}", &deep] {
        models.refused("sound", "tokenizer.json", |bad| {
            Ok(fs::write(bad.join("tokenizer.json"), text)?)
        })?;
    }
    Ok(())
}

#[test]
fn shards_that_are_missing_or_elsewhere_are_refused() -> TestResult {
    let models = Models::new()?;
    let shard = "model-00002-of-";
    models.refused(
        "shards",
        "is not beside it; copy or download what is missing",
        |bad| {
            let mut entries = fs::read_dir(bad)?.filter_map(Result::ok);
            let name = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
            let second = entries.find(|entry| name(entry).starts_with(shard));
            Ok(fs::remove_file(second.ok_or("one file")?.path())?)
        },
    )?;
    for file in [
        "../sound/model.safetensors",
        "/etc/passwd",
        "",
        ".",
        "a/b.safetensors",
    ] {
        models.refused(
            "shards",
            "is not the name of a .safetensors file beside it",
            |bad| {
                let path = bad.join(INDEX);
                let mut index: Value = serde_json::from_slice(&fs::read(&path)?)?;
                index["weight_map"][ONE] = json!(file);
                Ok(fs::write(path, index.to_string())?)
            },
        )?;
    }
    models.refused("shards", "the index is damaged", |bad| {
        Ok(fs::write(bad.join(INDEX), "{\"weight_map\": [")?)
    })
}

/// A table of positions of a grid without the class token that the new model has.
#[test]
fn positions_of_another_grid_are_refused_before_the_run_has_a_folder() -> TestResult {
    let folder = TempDir::new()?;
    let path = folder.path();
    let config = "[run]\nname = 'x'\n[data]\npath = 'generated'\nsamples = 64\n\
                  [model]\nkind = 'image-classifier'\nd_model = 16\nn_heads = 2\nn_layers = 1\n\
                  [model.image]\npatch = 4\n[train]\nsteps = 1\nbatch_size = 8\nlr = 1e-3\n";
    fs::write(path.join("image.toml"), config)?;
    let fit = |out: &str, sets: &[&str]| {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let fit = ["fit", "image.toml", "--quiet", "--out", out];
        train(path, &fit.into_iter().chain(sets).collect::<Vec<_>>())
    };
    let (code, _, errors) = fit("base", &[])?;
    assert_eq!((code, errors.as_str()), (0, ""));
    let token = [
        "init.from=base",
        "init.head=new",
        "init.ignore=[\"class_token.*\"]",
        "model.image.class_token=true",
    ];
    let (code, _, errors) = fit("run", &token)?;
    assert_eq!(code, 65, "{errors}");
    assert!(
        errors.contains("`position.weight` cannot become positions of another length")
            && errors.contains("init.ignore = [\"position.weight\"]")
            && errors.lines().count() == 1,
        "{errors}"
    );
    assert!(!path.join("run").exists());
    let drawn = ["init.ignore=[\"class_token.*\",\"position.weight\"]"];
    let (code, _, errors) = fit("run", &[&token[..], &drawn].concat())?;
    assert_eq!((code, errors.as_str()), (0, ""));
    Ok(())
}
