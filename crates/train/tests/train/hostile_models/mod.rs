//! Folders in Hugging Face's form that are damaged, or lie: every command refuses them in one
//! line, and nothing is left behind.

mod configuration;
mod weights;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use attn_core::ParamStore;
use candle_core::{DType, Device};
use data::text::Tokenizer;
use models::Model;
use serde_json::{Map, Value};
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
fn an_encoder_keeps_the_pooler_that_it_does_not_read() -> TestResult {
    let models = Models::new()?;
    let path = models.0.path();
    models.copy("sound")?;
    let file = path.join("bad/config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&file)?)?;
    config["architectures"] = serde_json::json!(["BertModel"]);
    fs::write(file, config.to_string())?;
    let arguments = ["export", "bad", "--out", "made", "--format", "hf"];
    let (code, _, errors) = train(path, &arguments)?;
    assert_eq!((code, errors.as_str()), (0, ""));
    let read = |name: &str| fs::read(path.join(name).join(WEIGHTS));
    let (before, after) = (read("bad")?, read("made")?);
    let before = safetensors::SafeTensors::deserialize(&before)?;
    let after = safetensors::SafeTensors::deserialize(&after)?;
    for part in ["pooler.dense.weight", "pooler.dense.bias"] {
        let old = before.tensor(&format!("bert.{part}"))?;
        assert_eq!(old.data(), after.tensor(part)?.data(), "{part}");
    }
    assert!(!after.names().iter().any(|name| name.contains("classifier")));
    Ok(())
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
