//! Tiny models of every architecture, made and computed by transformers: see
//! `scripts/parity/make_golden.py`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error;
use std::path::{Path, PathBuf};

use attn_core::Mask;
use attn_core::input::{ImageShape, Images, Rows};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use interop::{Checkpoint, Family, KeyMap, export};
use models::{Input, Kind, Model, ModelConfig};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// The files are of `f64` arithmetic, rounded once; ours is `f32`.
const TOLERANCE: f32 = 1e-4;

/// One folder: what is in it, and how our model answers.
struct Golden {
    name: &'static str,
    config: String,
    preprocessor: Option<String>,
    weights: Weights,
    values: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

type Weights = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn folder(name: &str) -> PathBuf {
    // `scripts/parity.py` has models of other seeds compared.
    let elsewhere = std::env::var_os("INTEROP_GOLDEN").map(PathBuf::from);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    elsewhere.unwrap_or(golden).join(name)
}

fn tensors(file: &Path) -> Result<Weights> {
    let bytes = std::fs::read(file)?;
    let one = |(name, view): (String, TensorView<'_>)| {
        let number = |bytes: &[u8]| -> Option<f32> {
            let bytes: [u8; 4] = bytes.try_into().ok()?;
            match view.dtype() {
                Dtype::F32 => Some(f32::from_le_bytes(bytes)),
                Dtype::U32 => Some(u32::from_le_bytes(bytes) as f32),
                _ => None,
            }
        };
        let values: Option<Vec<f32>> = view.data().chunks(4).map(number).collect();
        let values = values.ok_or("neither f32 nor u32")?;
        Ok((name, (view.shape().to_vec(), values)))
    };
    SafeTensors::deserialize(&bytes)?
        .tensors()
        .into_iter()
        .map(one)
        .collect()
}

impl Golden {
    fn read(name: &'static str) -> Result<Self> {
        let folder = folder(name);
        Ok(Self {
            name,
            config: std::fs::read_to_string(folder.join("config.json"))?,
            preprocessor: std::fs::read_to_string(folder.join("preprocessor_config.json")).ok(),
            weights: tensors(&folder.join("model.safetensors"))?,
            values: tensors(&folder.join("golden.safetensors"))?,
        })
    }

    fn checkpoint(&self) -> Result<Checkpoint> {
        Ok(Checkpoint::read(
            &self.config,
            self.preprocessor.as_deref(),
        )?)
    }

    fn names(&self) -> BTreeSet<String> {
        self.weights.keys().cloned().collect()
    }

    fn numbers(&self, name: &str) -> Result<&[f32]> {
        let found = self.values.get(name).map(|(_, values)| &values[..]);
        Ok(found.ok_or_else(|| format!("{} has no `{name}`", self.name))?)
    }

    fn ids(&self, name: &str) -> Result<Vec<u32>> {
        Ok(self.numbers(name)?.iter().map(|&id| id as u32).collect())
    }

    /// Our parameters, made of the weights by `map`.
    fn ours(&self, map: &KeyMap) -> Result<HashMap<String, Vec<f32>>> {
        let mut ours = HashMap::new();
        for entry in &map.entries {
            let (shape, values) = &self.weights[&entry.theirs];
            assert_eq!(shape, &entry.their_shape, "{}: {}", self.name, entry.theirs);
            ours.insert(entry.ours.clone(), entry.to_ours(values.clone())?);
        }
        Ok(ours)
    }

    /// What our model makes of the input.
    fn answer(&self, config: &ModelConfig, map: &KeyMap) -> Result<Vec<f32>> {
        let values = self.ours(map)?;
        let tensor = |entry: &interop::Entry| {
            let values = values[&entry.ours].clone();
            let tensor = Tensor::from_vec(values, &entry.shape[..], &Device::Cpu)?;
            Ok((entry.ours.clone(), tensor))
        };
        let tensors: Result<HashMap<_, _>> = map.entries.iter().map(tensor).collect();
        let mut tensors = tensors?;
        // A head that the file does not have says nothing.
        for parameter in models::parameters(config)? {
            if map.fresh.contains(&parameter.name) {
                let zeros = Tensor::zeros(&parameter.shape[..], DType::F32, &Device::Cpu)?;
                tensors.insert(parameter.name, zeros);
            }
        }
        let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        let model = Model::build(config, vb)?;
        let (input, mask) = match (config.image(), config.speech()) {
            (_, Some(speech)) => {
                let frames = Rows::new(self.numbers("frames")?.to_vec(), speech.n_features()?)?;
                let walls = self.ids("cu_seqlens")?;
                let mask = Mask::new(model.pattern().clone(), walls)?;
                (Input::Frames(frames), mask)
            }
            (Some(image), None) => {
                let shape: ImageShape = image.shape()?;
                let images = Images::new(self.numbers("pixels")?.to_vec(), shape)?;
                let pixels = shape.n_pixels() as u32;
                let walls: Vec<u32> = (0..=images.len() as u32).map(|i| i * pixels).collect();
                (
                    Input::Images(images),
                    Mask::new(model.pattern().clone(), walls)?,
                )
            }
            (None, None) => {
                let tokens = Input::Tokens(self.ids("tokens")?.into());
                let walls = self.ids("cu_seqlens")?;
                (tokens, Mask::new(model.pattern().clone(), walls)?)
            }
        };
        let answer = match (&model, &input) {
            (Model::TextEncoder(encoder), Input::Tokens(tokens)) => {
                encoder.vectors(tokens.clone(), &mask, attn_core::Pass::eval())?
            }
            _ if !map.fresh.is_empty() => model.vectors(&input, &mask)?,
            _ => model.logits(&input, &mask, attn_core::Pass::eval())?,
        };
        Ok(answer.flatten_all()?.to_vec1()?)
    }

    /// Whether our model answers as theirs did, to the value `want` of the file.
    fn compare(&self, config: &ModelConfig, map: &KeyMap, wanted: &str) -> Result {
        let (got, want) = (self.answer(config, map)?, self.numbers(wanted)?);
        assert_eq!(got.len(), want.len(), "{}", self.name);
        let farthest = got
            .iter()
            .zip(want)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        println!("{} {wanted} {farthest:e}", self.name);
        assert!(farthest <= TOLERANCE, "{}: {farthest:e} away", self.name);
        // Answers that hardly differ would say little.
        assert!(want.iter().any(|value| value.abs() > 0.1), "{}", self.name);
        Ok(())
    }

    /// Writes `config` with the values that `map` takes from the file, and compares what is
    /// written with the file: names, shapes and bits, but for `dropped`.
    fn comes_back(&self, checkpoint: &Checkpoint, map: &KeyMap) -> Result {
        let exported = export(checkpoint.model(), checkpoint.labels())?;
        let ours = self.ours(map)?;
        let mut written = Weights::new();
        for tensor in exported.map.assemblies() {
            let values = tensor.values(|name| ours.get(name).cloned())?;
            written.insert(tensor.name.to_owned(), (tensor.shape.to_vec(), values));
        }
        let prefix = |name: &String| match self.name {
            // The class that is written has the prefix, the body by itself has not.
            "gpt2-body" => format!("transformer.{name}"),
            "bert-masked-lm" => name.replacen("bert.", "", 1),
            _ => name.clone(),
        };
        let kept = self
            .weights
            .iter()
            .filter(|(name, _)| !map.dropped.contains(name));
        let kept: Weights = kept
            .map(|(name, tensor)| (prefix(name), tensor.clone()))
            .collect();
        assert!(written.keys().eq(kept.keys()), "{}", self.name);
        for (name, (shape, values)) in &kept {
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(&written[name].0, shape, "{}: {name}", self.name);
            assert_eq!(
                bits(&written[name].1),
                bits(values),
                "{}: {name}",
                self.name
            );
        }

        let sound = checkpoint
            .sound()
            .map(|sound| sound.preprocessor_json(checkpoint.model()));
        let of_sound = sound.transpose()?;
        let preprocessor = exported.preprocessor_json.as_ref().or(of_sound.as_ref());
        let again = Checkpoint::read(&exported.config_json, preprocessor.map(String::as_str))?;
        assert_eq!(again.model(), checkpoint.model(), "{}", self.name);
        assert_eq!(again.labels(), checkpoint.labels(), "{}", self.name);
        assert_eq!(again.family(), checkpoint.family(), "{}", self.name);
        // Names as they are written are read, too.
        let names = written.keys().cloned().collect();
        assert_eq!(
            again.map(&names)?.entries,
            exported.map.entries,
            "{}",
            self.name
        );
        self.leave(&exported.config_json, preprocessor, &written)
    }

    /// Leaves what was written for `make_golden.py --read`, if that asks for it.
    fn leave(&self, config: &str, preprocessor: Option<&String>, written: &Weights) -> Result {
        let Ok(root) = std::env::var("INTEROP_EXPORT") else {
            return Ok(());
        };
        let folder = Path::new(&root).join(self.name);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("config.json"), config)?;
        if let Some(text) = preprocessor {
            std::fs::write(folder.join("preprocessor_config.json"), text)?;
        }
        let bytes = |values: &[f32]| values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let bytes: Vec<(&String, &Vec<usize>, Vec<u8>)> = (written.iter())
            .map(|(name, (shape, values))| (name, shape, bytes(values)))
            .collect();
        let views = bytes.iter().map(|(name, shape, bytes)| {
            Ok((
                name.as_str(),
                TensorView::new(Dtype::F32, shape.to_vec(), bytes)?,
            ))
        });
        let views: Result<Vec<_>> = views.collect();
        let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        safetensors::serialize_to_file(views?, Some(format), &folder.join("model.safetensors"))?;
        Ok(())
    }
}

/// The usual case: the model answers as theirs did, and goes back as it came.
#[track_caller]
fn there_and_back(name: &'static str, family: Family, kind: Kind, want: &str) -> Result<KeyMap> {
    let golden = Golden::read(name)?;
    let checkpoint = golden.checkpoint()?;
    assert_eq!(
        (checkpoint.family(), checkpoint.model().kind()),
        (family, kind)
    );
    let map = checkpoint.map(&golden.names())?;
    golden.compare(checkpoint.model(), &map, want)?;
    golden.comes_back(&checkpoint, &map)?;
    Ok(map)
}

/// `model` with keys of `[model]` set, as TOML tables are.
fn with(model: &ModelConfig, keys: &[(&str, serde_json::Value)]) -> Result<ModelConfig> {
    let mut table = serde_json::to_value(model)?;
    for (key, value) in keys {
        table[*key] = value.clone();
    }
    Ok(serde_json::from_value(table)?)
}

#[test]
fn gpt2_comes_and_goes() -> Result {
    let map = there_and_back("gpt2", Family::Gpt2, Kind::TextLm, "logits")?;
    assert!(map.dropped.is_empty());
    there_and_back("gpt2-body", Family::Gpt2, Kind::TextLm, "logits")?;
    Ok(())
}

#[test]
fn llama_comes_and_goes() -> Result {
    for name in [
        "llama",
        "llama-bias-tied",
        "llama-linear",
        "llama-yarn",
        "llama3",
    ] {
        there_and_back(name, Family::Llama, Kind::TextLm, "logits")?;
    }
    Ok(())
}

#[test]
fn vit_comes_and_goes() -> Result {
    there_and_back("vit", Family::Vit, Kind::ImageClassifier, "logits")?;
    let golden = Golden::read("vit")?;
    assert_eq!(golden.checkpoint()?.labels(), ["cold", "mild", "hot"]);
    Ok(())
}

#[test]
fn ast_comes_and_goes() -> Result {
    let map = there_and_back("ast", Family::Ast, Kind::SpeechClassifier, "logits")?;
    assert!(map.dropped.is_empty() && map.fresh.is_empty());
    let golden = Golden::read("ast")?;
    let checkpoint = golden.checkpoint()?;
    assert_eq!(checkpoint.labels(), ["cold", "mild", "hot"]);
    let sound = checkpoint.sound().ok_or("no features")?;
    assert_eq!((sound.mean, sound.deviation), (-2.5, 3.0));
    // A body without its head: what its head would read.
    let golden = Golden::read("ast-body")?;
    let checkpoint = golden.checkpoint()?;
    let map = checkpoint.map(&golden.names())?;
    assert_eq!(
        map.fresh,
        [
            "head.norm.weight",
            "head.norm.bias",
            "head.weight",
            "head.bias"
        ]
    );
    golden.compare(checkpoint.model(), &map, "pooled")
}

#[test]
fn bert_comes_and_goes() -> Result {
    there_and_back(
        "bert-classifier",
        Family::Bert,
        Kind::TextClassifier,
        "logits",
    )?;
    there_and_back("bert", Family::Bert, Kind::TextEncoder, "mean")?;
    // A head of another task is left behind.
    let map = there_and_back("bert-masked-lm", Family::Bert, Kind::TextEncoder, "mean")?;
    assert!(map.dropped.iter().any(|name| name.starts_with("cls.")));
    pooled("bert")
}

#[test]
fn roberta_comes_and_goes() -> Result {
    there_and_back(
        "roberta-classifier",
        Family::Roberta,
        Kind::TextClassifier,
        "logits",
    )?;
    there_and_back("roberta", Family::Roberta, Kind::TextEncoder, "mean")?;
    pooled("roberta")
}

/// The encoder `name` with its pooler over the first token, as a classifier has it.
fn pooled(name: &'static str) -> Result {
    let golden = Golden::read(name)?;
    let checkpoint = golden.checkpoint()?;
    let keys = [("pooling", "first".into()), ("pooler", true.into())];
    let model = with(checkpoint.model(), &keys)?;
    let map = checkpoint.map_onto(&model, &golden.names())?;
    golden.compare(&model, &map, "pooled")
}
