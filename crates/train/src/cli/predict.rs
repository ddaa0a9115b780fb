//! `train predict MODEL INPUT…`

use std::path::{Path, PathBuf};

use models::Modality;

use super::{console, inputs};
use crate::error::{Error, Result};
use crate::model_folder::{self, LoadedModel};
use crate::predict::{Prediction, Predictor, predict_file};

/// Print what a model makes of texts or files, one JSON object a line
///
/// A classifier gives the class and the probability of each; a text encoder a vector; a
/// language model the loss, in nats a token, and the perplexity. Models of sound, images and graphs read files.
#[derive(Debug, clap::Args)]
pub(super) struct PredictArgs {
    /// The model: a model folder, a run folder or a .safetensors file
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// Texts, where a file is read line by line, and so is standard input, `-`; or files
    /// of sound, images or graphs
    #[arg(value_name = "INPUT", default_value = "-")]
    inputs: Vec<String>,
}

pub(super) fn run(args: PredictArgs) -> Result<()> {
    let loaded = model_folder::load(&args.model)?;
    if loaded.description.config.model.kind().modality() != Modality::Text {
        return files(&loaded, &args.inputs);
    }
    let mut predictor = Predictor::new(&loaded);
    inputs::each(&args.inputs, |text| predictor.push(text, print))?;
    predictor.flush(print)
}

fn files(loaded: &LoadedModel, inputs: &[String]) -> Result<()> {
    for input in inputs {
        if input == "-" {
            return Err(Error::Usage(
                "the model reads files, not standard input; name one".into(),
            ));
        }
        for prediction in predict_file(loaded, Path::new(input))? {
            print(prediction)?;
        }
    }
    Ok(())
}

fn print(prediction: Prediction) -> Result<()> {
    let line = serde_json::to_string(&prediction).map_err(|error| Error::Stdout(error.into()))?;
    console::print(&format!("{line}\n"))
}
