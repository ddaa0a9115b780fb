//! The data of a run, of whatever kind its model needs.

use std::path::Path;
use std::sync::Arc;

use attn_core::input::Rows;
use data::audio::{Asked, AudioData, ClipReader, Statistics};
use data::graph::{GraphData, GraphTask, Schema};
use data::image::ImageData;
use data::text::{ClassData, LanguageData, Tokenizer};
use data::{Batch, Input, Open, Sample, Samples};
use models::{DataSizes, Kind, Modality};

use crate::config::DataTable;
use crate::error::{Error, Result};
use crate::metrics::Split;
use crate::model_folder::Description;

/// What is said of a model without a loss, for which no data are opened.
pub const NO_LOSS: &str = "kind = \"text-encoder\" has no loss to train or measure it by; use \
                           kind = \"text-classifier\"";

/// Opened data: splits to read, and what a model must know to use them.
#[expect(clippy::large_enum_variant, reason = "a run has one")]
pub enum Dataset {
    /// Windows of running text.
    Language(LanguageData),
    /// Labelled texts.
    Classes(ClassData),
    /// Labelled images.
    Images(ImageData),
    /// Recordings.
    Sound(AudioData),
    /// Graphs.
    Graphs(GraphData, GraphTask),
}

impl Dataset {
    /// Opens what `config` names, as a model of `kind` reads it.
    ///
    /// # Errors
    ///
    /// A file that is missing or wrong, with its place, and a kind that learns nothing from
    /// data.
    pub fn open(kind: Kind, config: &DataTable, open: &Open<'_>) -> Result<Self> {
        Ok(match (kind, config) {
            (Kind::TextLm, DataTable::Text(config)) => {
                Self::Language(LanguageData::open(config, open)?)
            }
            (Kind::TextEncoder, _) => return Err(Error::Usage(NO_LOSS.into())),
            (Kind::TextClassifier, DataTable::Text(config)) => {
                Self::Classes(ClassData::open(config, open)?)
            }
            (Kind::ImageClassifier, DataTable::Image(config)) => {
                Self::Images(ImageData::open(config, open)?)
            }
            (kind, DataTable::Audio(config)) if kind.modality() == Modality::Speech => {
                Self::Sound(AudioData::open(config, asked(kind), open)?)
            }
            (kind, DataTable::Graph(config)) => match graph_task(kind) {
                Some(task) => {
                    let data = GraphData::open(config, task, open.seed, open.graphs.as_ref())?;
                    Self::Graphs(data, task)
                }
                None => return Err(Error::Data(format!("[data] is not what a {kind} reads"))),
            },
            _ => return Err(Error::Data(format!("[data] is not what a {kind} reads"))),
        })
    }

    /// The samples of `split`, if there are any.
    ///
    /// # Errors
    ///
    /// Test data are opened here, when they are first asked for.
    pub fn split(&self, split: Split) -> Result<Option<Arc<dyn Samples>>> {
        Ok(match (self, split) {
            (Self::Language(data), Split::Train) => Some(data.train()),
            (Self::Language(data), Split::Val) => data.val(),
            (Self::Language(data), Split::Test) => data.test()?,
            (Self::Classes(data), Split::Train) => Some(data.train()),
            (Self::Classes(data), Split::Val) => data.val(),
            (Self::Classes(data), Split::Test) => data.test()?,
            (Self::Images(data), Split::Train) => Some(data.train()),
            (Self::Images(data), Split::Val) => data.val(),
            (Self::Images(data), Split::Test) => data.test()?,
            (Self::Sound(data), Split::Train) => Some(data.train()),
            (Self::Sound(data), Split::Val) => data.val(),
            (Self::Sound(data), Split::Test) => data.test()?,
            (Self::Graphs(data, _), Split::Train) => Some(data.train()),
            (Self::Graphs(data, _), Split::Val) => data.val(),
            (Self::Graphs(data, _), Split::Test) => data.test()?,
        })
    }

    /// How text became tokens, if it is text.
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        match self {
            Self::Language(data) => Some(data.tokenizer()),
            Self::Classes(data) => Some(data.tokenizer()),
            Self::Images(_) => None,
            Self::Sound(_) => None,
            Self::Graphs(..) => None,
        }
    }

    /// Names of the classes, if there are classes.
    pub fn labels(&self) -> Option<&[String]> {
        match self {
            Self::Language(_) => None,
            Self::Classes(data) => Some(data.labels()),
            Self::Images(data) => Some(data.labels()),
            Self::Sound(data) => Some(data.labels()),
            Self::Graphs(data, GraphTask::Nodes | GraphTask::Classes) => {
                Some(&data.schema().classes)
            }
            Self::Graphs(..) => None,
        }
    }

    /// What the values of graphs mean, if it is graphs.
    pub fn graphs(&self) -> Option<&Schema> {
        match self {
            Self::Graphs(data, _) => Some(data.schema()),
            _ => None,
        }
    }

    /// By what features of sound are normalised, where the training part decides it.
    pub fn features(&self) -> Option<&Statistics> {
        match self {
            Self::Sound(data) => data.statistics(),
            _ => None,
        }
    }

    /// Hash of what is trained and validated on.
    pub fn fingerprint(&self) -> blake3::Hash {
        match self {
            Self::Language(data) => data.fingerprint(),
            Self::Classes(data) => data.fingerprint(),
            Self::Images(data) => data.fingerprint(),
            Self::Sound(data) => data.fingerprint(),
            Self::Graphs(data, _) => data.fingerprint(),
        }
    }

    /// Sizes that a model may leave to its data.
    pub fn sizes(&self, config: &DataTable) -> DataSizes {
        let images = match self {
            Self::Images(data) => Some(data),
            _ => None,
        };
        let sound = match self {
            Self::Sound(data) => Some(data),
            _ => None,
        };
        let (graphs, structure) = match config {
            DataTable::Graph(config) => (self.graphs(), Some(config.encodings().width())),
            _ => (None, None),
        };
        DataSizes {
            image: images.map(ImageData::shape),
            pixel_mean: images.map(|data| data.statistics().mean.clone()),
            pixel_std: images.map(|data| data.statistics().std.clone()),
            n_edge_features: graphs.map(|schema| schema.edges.width()),
            n_structure: structure,
            scale: graphs
                .and_then(|schema| schema.scale)
                .map(|s| (s.mean, s.deviation)),
            vocab_size: self.tokenizer().map(Tokenizer::vocab_size),
            n_classes: self.labels().map(<[String]>::len),
            word_separator: sound.and_then(AudioData::word_separator),
            seq_len: config.seq_len(),
            n_features: (sound.map(AudioData::width)).or(graphs.map(Schema::node_width)),
        }
    }
}

/// What a model of sound says about a recording.
fn asked(kind: Kind) -> Asked {
    match kind {
        Kind::SpeechCtc => Asked::Text,
        Kind::SpeechFrames => Asked::Frames,
        _ => Asked::Class,
    }
}

/// What a model of `kind` learns of graphs.
fn graph_task(kind: Kind) -> Option<GraphTask> {
    match kind {
        Kind::GraphNodes => Some(GraphTask::Nodes),
        Kind::GraphClassifier => Some(GraphTask::Classes),
        Kind::GraphRegression => Some(GraphTask::Numbers),
        Kind::GraphLinks => Some(GraphTask::Links),
        _ => None,
    }
}

/// The samples of one file that a model is asked about, prepared as `description` says; their
/// targets are not known.
///
/// # Errors
///
/// A file that cannot be read as what the model reads, with its place.
pub fn batch_of_file(description: &Description, path: &Path) -> Result<Batch> {
    match &description.config.data {
        DataTable::Graph(config) => {
            let Some(schema) = &description.graphs else {
                return Err(Error::Data(
                    "the model does not say what its graphs hold; take it from its run again"
                        .into(),
                ));
            };
            let kind = description.config.model.kind();
            let task = graph_task(kind)
                .ok_or_else(|| Error::Usage(format!("a {kind} reads no graphs")))?;
            let part = data::graph::graphs_of_file(path, config, task, schema)?;
            let all: Vec<Sample> = (0..part.len())
                .map(|index| Sample { epoch: 0, index })
                .collect();
            Ok(part.pack(&all, &description.config.model.mask().into())?)
        }
        DataTable::Text(_) => Err(Error::Usage(format!(
            "{}: the model reads texts, not files",
            path.display()
        ))),
        DataTable::Image(_) => {
            let model = &description.config.model;
            let shape = model.image().map(|image| image.shape()).transpose();
            let Some(shape) = shape.map_err(|error| Error::Usage(error.to_string()))? else {
                return Err(Error::Usage(format!("a {} reads no images", model.kind())));
            };
            let images = data::image::read(path, shape)?;
            let targets = vec![data::IGNORED];
            let ends = [shape.n_pixels()];
            Ok(Batch::pack(
                Input::Images(images),
                &ends,
                targets,
                &model.mask().into(),
            )?)
        }
        DataTable::Audio(table) => {
            let model = &description.config.model;
            let kind = model.kind();
            let mut reader = ClipReader::new(table, asked(kind) != Asked::Text);
            if let Some(statistics) = &description.features {
                reader = reader.with_statistics(Arc::new(statistics.clone()))?;
            }
            let (frames, width) = reader.frames(path)?;
            let rows = Rows::new(frames, width)?;
            let ends = [rows.n_rows()];
            let pattern = model.mask().into();
            Ok(Batch::pack(
                Input::Frames(rows),
                &ends,
                Vec::new(),
                &pattern,
            )?)
        }
    }
}
