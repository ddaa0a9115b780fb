//! What a configuration amounts to, told before anything is trained: the resolved
//! configuration, the layers, the arithmetic and memory of a step, the mask.

mod layers;
mod numbers;

use attn_core::{Mask, Pattern};
use models::image::Window;
use models::{BlockMemory, MaskConfig, Modality, cost};

use crate::config::{Optimizer, RunConfig};
use numbers::{bytes, flops, grouped};

/// Lengths of the two sequences whose mask is drawn.
const DRAWN: [u32; 2] = [16, 8];

/// Patches that are drawn on each side of one.
const SEEN: usize = 15;

/// Describes `config`, whose model must be resolved, in at most 100 columns.
///
/// # Errors
///
/// A model that lacks a size ([`models::ModelConfig::resolve`]).
pub fn explain(config: &RunConfig) -> candle_core::Result<String> {
    let mut text = config.to_toml();
    let sections = match config.model.kind().modality() {
        Modality::Graph => vec![layers::table(&config.model)?, graphs(config)],
        // There are no steps.
        _ if !config.model.kind().has_loss() => vec![layers::table(&config.model)?, mask(config)],
        _ => vec![
            layers::table(&config.model)?,
            step(config),
            memory(config),
            match cost::window(&config.model) {
                Some(window) => patches(window),
                None => mask(config),
            },
        ],
    };
    for section in sections {
        text.push('\n');
        text.push_str(&section);
    }
    Ok(text)
}

/// Rows of one batch of full length.
fn n_tokens(config: &RunConfig) -> u64 {
    config.train.batch_size() as u64 * seq_len(config) as u64
}

/// Rows of a sample, or the most that it may have.
fn seq_len(config: &RunConfig) -> usize {
    let max_seq_len = || config.model.max_seq_len().unwrap_or(0);
    let speech = config.model.speech();
    match speech.and_then(|speech| speech.patches()) {
        Some(_) => max_seq_len(),
        None => config.data.seq_len().unwrap_or_else(max_seq_len),
    }
}

/// The arithmetic of one update: [`cost::step_flops`], term by term.
fn step(config: &RunConfig) -> String {
    let model = &config.model;
    let (batch_size, seq_len, accumulate) = (
        config.train.batch_size() as u64,
        seq_len(config),
        config.train.accumulate() as u64,
    );
    let n_tokens = accumulate * n_tokens(config);
    let of_one = match cost::window(model) {
        Some(window) => window.n_pairs(),
        None => cost::n_pairs(&walled(model.mask().into(), &[seq_len as u32])),
    };
    let n_pairs = accumulate * batch_size * of_one;

    let products = cost::step_flops(model, n_tokens, 0);
    let attention = cost::step_flops(model, 0, n_pairs);
    let (n_layers, d_model) = (model.n_layers(), model.d_model());
    let times = if accumulate > 1 {
        format!(", {accumulate} times")
    } else {
        String::new()
    };
    let mut text = format!(
        "a step of {} tokens: {batch_size} sequences of {seq_len}{times}\n",
        grouped(n_tokens)
    );
    let formula = format!(
        "6 · {} in matrices · {} tokens",
        grouped(cost::n_matrix_params(model)),
        grouped(n_tokens)
    );
    text.push_str(&line("matrix products", &formula, &flops(products)));
    let formula = format!(
        "12 · {n_layers} layers · {d_model} wide · {} pairs",
        grouped(n_pairs)
    );
    if attention > 0.0 {
        text.push_str(&line("attention", &formula, &flops(attention)));
    }
    text.push_str(&line("together", "", &flops(products + attention)));
    text
}

/// What a step costs by node and edge: how many there are differs from batch to batch.
fn graphs(config: &RunConfig) -> String {
    let model = &config.model;
    let (n_layers, d_model) = (model.n_layers(), model.d_model());
    let batch_size = config.train.batch_size();
    let mut text = format!("a step of {batch_size} graphs, by node and by edge\n");
    let formula = format!("6 · {} in matrices", grouped(cost::n_matrix_params(model)));
    text.push_str(&line(
        "a node",
        &formula,
        &flops(cost::step_flops(model, 1, 0)),
    ));
    let reads = match model.mask() {
        MaskConfig::Edges => "an edge",
        _ => "a pair of nodes of one graph",
    };
    let formula = format!("12 · {n_layers} layers · {d_model} wide");
    text.push_str(&line(
        reads,
        &formula,
        &flops(cost::step_flops(model, 0, 1)),
    ));
    text
}

/// The memory of one step: [`cost::training_memory`], part by part.
fn memory(config: &RunConfig) -> String {
    let of_optimizer = match config.train.optimizer() {
        Optimizer::AdamW { .. } | Optimizer::Adam { .. } => 2,
        Optimizer::Sgd { .. } | Optimizer::Lion { .. } => 1,
    };
    let (n_states, keeper) = match config.train.ema() {
        Some(_) => (of_optimizer + 1, "of the optimiser and the average"),
        None => (of_optimizer, "of the optimiser"),
    };
    let memory = cost::training_memory(&config.model, n_tokens(config), n_states);
    let states = format!("{n_states} a parameter, {keeper}");
    let mut text = "memory, estimated\n".to_owned();
    text.push_str(&line(
        "parameters",
        "4 bytes each",
        &bytes(memory.parameters),
    ));
    text.push_str(&line(
        "gradients",
        "one a parameter",
        &bytes(memory.gradients),
    ));
    text.push_str(&line("states", &states, &bytes(memory.states)));
    let kept = match config.model.memory() {
        BlockMemory::Keep => "kept for the backward pass; linear in tokens",
        BlockMemory::Recompute => "inputs of blocks, and one block; linear in tokens",
    };
    text.push_str(&line("activations", kept, &bytes(memory.activations)));
    text.push_str(&line("together", "", &bytes(memory.total())));
    text
}

/// A drawing of the mask over two short sequences, so that the wall is seen.
fn mask(config: &RunConfig) -> String {
    let mask = walled(config.model.mask().into(), &DRAWN);
    let [first, second] = DRAWN;
    let mut text = format!(
        "who may read whom: a row reads the columns marked █; two sequences, of {first} and {second} tokens\n"
    );
    for row in mask.picture(usize::MAX).lines() {
        text.push_str("  ");
        text.push_str(row);
        text.push('\n');
    }
    text
}

/// A drawing of what a patch in the middle of an image reads of it.
fn patches(window: Window) -> String {
    let grid = window.grid();
    let first = usize::from(grid.class_token);
    let row = |y: usize, x: usize| first + y * grid.width + x;
    let [(rows, y), (columns, x)] = [grid.height, grid.width].map(|side| {
        let middle = side / 2;
        let ends = middle.saturating_sub(SEEN)..(middle + SEEN + 1).min(side);
        (ends, middle)
    });
    let mut text = format!(
        "who may read whom: of {} x {} patches, the one marked ▣ reads itself and those marked █\n",
        grid.height, grid.width
    );
    if grid.class_token {
        text.push_str("  the class token reads all, and all read it\n");
    }
    for v in rows {
        text.push_str("  ");
        text.extend(
            columns
                .clone()
                .map(|u| match window.reads(row(y, x), row(v, u)) {
                    _ if (v, u) == (y, x) => '▣',
                    true => '█',
                    false => '·',
                }),
        );
        text.push('\n');
    }
    text
}

/// `pattern` over sequences of these lengths, one after the other.
fn walled(pattern: Pattern, lengths: &[u32]) -> Mask {
    let ends = lengths.iter().scan(0, |end, length| {
        *end += length;
        Some(*end)
    });
    Mask::new(pattern, std::iter::once(0).chain(ends).collect::<Vec<_>>())
        .expect("walls that only rise, and a pattern that configurations can name")
}

/// `  name   note   value`, the value flush right at column 80.
fn line(name: &str, note: &str, value: &str) -> String {
    format!("  {name:<17}{note:<46}{value:>15}\n")
}
