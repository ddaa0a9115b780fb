//! Files in, predictions out.

use std::path::Path;

use attn_core::{Input, Pass};
use candle_core::DType;
use models::{Kind, Model};

use super::{Choice, Prediction, choices, damaged};
use crate::dataset::batch_of_file;
use crate::error::{Error, Result};
use crate::model_folder::LoadedModel;

/// Beginnings that are kept while a recording is spelt.
const BEAM: usize = 16;

/// What the model makes of the file at `path`: one prediction a sample, or one a row
/// where the model answers row by row.
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
        other => Err(Error::Usage(format!(
            "a {other} cannot predict from files yet"
        ))),
    }
}
