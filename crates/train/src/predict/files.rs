//! Files in, predictions out.

use std::path::Path;

use attn_core::{Input, Pass};
use candle_core::DType;
use data::{Batch, Targets};
use models::{Kind, Model};

use super::{Choice, Prediction, choices, damaged};
use crate::dataset::batch_of_file;
use crate::error::{Error, Result};
use crate::model_folder::LoadedModel;

/// Beginnings that are kept while a recording is spelt.
const BEAM: usize = 16;

/// What the model makes of the file at `path`: one prediction a sample, or one a row
/// where the model answers row by row, or one a pair of nodes that the file asks about.
///
/// # Errors
///
/// A file that the model cannot read, with its place, and weights that are damaged.
pub fn predict_file(loaded: &LoadedModel, path: &Path) -> Result<Vec<Prediction>> {
    let description = &loaded.description;
    let batch = batch_of_file(description, path)?;
    let file = path.display().to_string();
    let kind = description.config.model.kind();
    match kind {
        Kind::SpeechClassifier
        | Kind::SpeechFrames
        | Kind::ImageClassifier
        | Kind::GraphNodes
        | Kind::GraphClassifier => {
            let logits = loaded
                .model
                .logits(&batch.input, &batch.mask, Pass::eval())?;
            let choices = choices(&logits, &description.labels)?;
            let only = choices.len() == 1;
            let prediction = |(
                i,
                Choice {
                    label,
                    probabilities,
                },
            )| Prediction::FileClass {
                file: file.clone(),
                index: (!only).then_some(i),
                label,
                probabilities,
            };
            Ok(choices.into_iter().enumerate().map(prediction).collect())
        }
        Kind::SpeechCtc => {
            let (Model::SpeechCtc(model), Input::Frames(frames)) = (&loaded.model, &batch.input)
            else {
                return Err(Error::Usage(format!("a {kind} reads sound")));
            };
            let spelt = model.spell(frames, &batch.mask, BEAM)?;
            let only = spelt.len() == 1;
            let prediction = |(i, symbols): (usize, Vec<u32>)| Prediction::FileText {
                file: file.clone(),
                index: (!only).then_some(i),
                // A model may have more symbols than labels: nobody knows how to write them.
                text: symbols
                    .into_iter()
                    .filter_map(|symbol| description.labels.get(symbol as usize))
                    .map(String::as_str)
                    .collect(),
            };
            Ok(spelt.into_iter().enumerate().map(prediction).collect())
        }
        Kind::GraphRegression => {
            let numbers = loaded
                .model
                .logits(&batch.input, &batch.mask, Pass::eval())?
                .flatten_all()?
                .to_dtype(DType::F64)?
                .to_vec1::<f64>()?;
            let only = numbers.len() == 1;
            let prediction = |(i, value): (usize, f64)| match value.is_finite() {
                true => Ok(Prediction::FileNumber {
                    file: file.clone(),
                    index: (!only).then_some(i),
                    value,
                }),
                false => Err(damaged(value)),
            };
            numbers.into_iter().enumerate().map(prediction).collect()
        }
        Kind::GraphLinks => links(loaded, &batch, &file),
        Kind::TextLm | Kind::TextClassifier | Kind::TextEncoder => {
            Err(Error::Usage(format!("a {kind} reads texts, not files")))
        }
    }
}

/// How probable each pair of nodes that the file asks about is a link.
fn links(loaded: &LoadedModel, batch: &Batch, file: &str) -> Result<Vec<Prediction>> {
    let (Model::Graph(model), Input::Graphs(graphs), Targets::Links { pairs, .. }) =
        (&loaded.model, &batch.input, &batch.targets)
    else {
        return Err(Error::Usage("a graph-links reads graphs".into()));
    };
    let log_odds = model
        .link_scores(graphs, &batch.mask, pairs, Pass::eval())?
        .flatten_all()?
        .to_dtype(DType::F64)?
        .to_vec1::<f64>()?;
    let walls = batch.mask.cu_seqlens();
    let (one_graph, one_pair) = (walls.len() == 2, pairs.len() == 1);
    let prediction = |(i, (&[source, target], x)): (usize, (&[u32; 2], f64))| {
        // The last wall that is not behind the node.
        let graph = walls.partition_point(|&wall| wall <= source) - 1;
        match x.is_finite() {
            true => Ok(Prediction::FileLink {
                file: file.to_owned(),
                index: (!one_pair).then_some(i),
                graph: (!one_graph).then_some(graph),
                source: source - walls[graph],
                target: target - walls[graph],
                probability: 1.0 / (1.0 + (-x).exp()),
            }),
            false => Err(damaged(x)),
        }
    };
    let scored = pairs.iter().zip(log_odds).enumerate();
    scored.map(prediction).collect()
}
