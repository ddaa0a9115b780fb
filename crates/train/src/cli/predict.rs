//! `train predict MODEL TEXT…`

use std::path::PathBuf;

use super::{console, inputs};
use crate::error::{Error, Result};
use crate::model_folder;
use crate::predict::{Prediction, Predictor};

/// Print what a model makes of texts, one JSON object a line
///
/// A classifier gives the class and the probability of each; a language model the loss, in
/// nats a token, and the perplexity.
#[derive(Debug, clap::Args)]
pub(super) struct PredictArgs {
    /// The model: a model folder, a run folder or a .safetensors file
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// Texts; a file is read line by line, and so is standard input, `-`
    #[arg(value_name = "INPUT", default_value = "-")]
    inputs: Vec<String>,
}

pub(super) fn run(args: PredictArgs) -> Result<()> {
    let loaded = model_folder::load(&args.model)?;
    let mut predictor = Predictor::new(&loaded);
    inputs::each(&args.inputs, |text| predictor.push(text, print))?;
    predictor.flush(print)
}

fn print(prediction: Prediction) -> Result<()> {
    let line = serde_json::to_string(&prediction).map_err(|error| Error::Stdout(error.into()))?;
    console::print(&format!("{line}\n"))
}
