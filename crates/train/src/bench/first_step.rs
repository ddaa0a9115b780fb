//! The first update of a benchmark in a file, so that others can compute the same loss.

use std::collections::BTreeMap;
use std::path::Path;

use attn_core::Input;
use attn_core::input::Rows;
use candle_core::Device;
use data::Batch;

use super::synthetic;
use crate::config::RunConfig;
use crate::error::{Error, Result};
use crate::init::First;
use crate::model_file::{NamedTensor, write_model_file};
use crate::trainer::Trainer;

/// Writes what the first loss of [`bench`](super::bench) comes of, as safetensors: every
/// weight before the first update by its name, and the batch.
///
/// | name | what |
/// | --- | --- |
/// | `batch.inputs` | tokens `[n]`, frames or nodes `[n, n_features]`, images `[batch, height, width, channels]` |
/// | `batch.targets` | classes of rows or samples; symbols, which end at `batch.target_ends`; numbers |
/// | `batch.cu_seqlens` | the walls between samples, `[batch + 1]` |
/// | `batch.source`, `batch.destination` | of graphs, the ends of each edge |
/// | `batch.edge_features`, `batch.structure` | of graphs, if there are any |
///
/// Numbers are `f32`, ids are `u32`. The key `config` of the header is the resolved
/// configuration, as JSON.
///
/// # Errors
///
/// A configuration that adds gradients of several batches up, targets that are pairs, or a
/// file that cannot be written.
pub fn write_first_step(
    config: &RunConfig,
    device: &Device,
    first: &First,
    path: &Path,
) -> Result<()> {
    if config.train.accumulate() != 1 {
        return Err(Error::Usage(
            "--first-step writes one batch; set train.accumulate = 1".into(),
        ));
    }
    let batch = synthetic::batch(config, 0)?;
    let trainer = Trainer::new(config, 1, device, first)?;
    let (source, destination) = edges(&batch.input);
    let mut tensors = trainer.weights();
    tensors.extend(inputs(&batch.input));
    tensors.extend(targets(&batch)?);
    tensors.push(NamedTensor::ids(
        "batch.cu_seqlens",
        batch.mask.cu_seqlens(),
    ));
    if let Input::Graphs(_) = &batch.input {
        tensors.push(NamedTensor::ids("batch.source", &source));
        tensors.push(NamedTensor::ids("batch.destination", &destination));
    }
    write(path, config, &tensors)
}

/// Writes `tensors`, with `config` in the header.
pub(super) fn write(path: &Path, config: &RunConfig, tensors: &[NamedTensor<'_>]) -> Result<()> {
    let json = serde_json::to_string(config).map_err(|error| Error::Usage(error.to_string()))?;
    let metadata = BTreeMap::from([("config".to_owned(), json)]);
    Ok(write_model_file(path, &metadata, tensors)?)
}

fn inputs(input: &Input) -> Vec<NamedTensor<'_>> {
    match input {
        Input::Tokens(tokens) => vec![NamedTensor::ids("batch.inputs", tokens)],
        Input::Frames(frames) => vec![table("batch.inputs", frames)],
        Input::Images(images) => {
            let shape = images.shape();
            let sizes = vec![images.len(), shape.height, shape.width, shape.channels];
            vec![NamedTensor::slice(
                "batch.inputs",
                sizes,
                &images.pixels()[..],
            )]
        }
        Input::Graphs(graphs) => {
            let features = graphs.edge_features.as_ref();
            let structure = graphs.structure.as_ref();
            [table("batch.inputs", &graphs.nodes)]
                .into_iter()
                .chain(features.map(|rows| table("batch.edge_features", rows)))
                .chain(structure.map(|rows| table("batch.structure", rows)))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn targets(batch: &Batch) -> Result<Vec<NamedTensor<'_>>> {
    use attn_core::Targets::{Classes, Numbers, Sequences};
    const NAME: &str = "batch.targets";
    match &batch.targets {
        Classes(classes) => Ok(vec![NamedTensor::ids(NAME, classes)]),
        Sequences { labels, ends } => Ok(vec![
            NamedTensor::ids(NAME, labels),
            NamedTensor::ids("batch.target_ends", ends),
        ]),
        Numbers(numbers) => Ok(vec![NamedTensor::slice(
            NAME,
            vec![numbers.len()],
            &numbers[..],
        )]),
        _ => Err(Error::Usage(
            "--first-step writes classes, symbols and numbers only; use another model.kind".into(),
        )),
    }
}

fn table<'a>(name: &'static str, rows: &'a Rows) -> NamedTensor<'a> {
    NamedTensor::slice(name, vec![rows.n_rows(), rows.width()], &rows.values()[..])
}

/// Source and destination of every edge, in the order in which the edges have features.
fn edges(input: &Input) -> (Vec<u32>, Vec<u32>) {
    let Input::Graphs(graphs) = input else {
        return (Vec::new(), Vec::new());
    };
    let edges = &graphs.edges;
    let of = |destination: usize| {
        let sources = edges.sources(destination).iter();
        sources.map(move |&source| (source, destination as u32))
    };
    (0..edges.n_rows()).flat_map(of).unzip()
}
