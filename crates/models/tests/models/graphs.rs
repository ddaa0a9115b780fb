//! Models that read graphs.

use std::sync::Arc;

use attn_core::input::{Graphs, Rows};
use attn_core::mask::Csr;
use attn_core::{IGNORED, Mask, ParamStore, Pass, Pattern, Targets};
use candle_core::{DType, Device, Result, Tensor};
use models::{DataSizes, Input, LossOptions, Model, ModelConfig};
use testkit::{assert_close, max_error, randn, reach};

use crate::made::{Outcome, shaken};

const WIDTH: usize = 5;
const PLACE: usize = 2;
const KINDS: usize = 3;

/// One choice of layers a line.
const LAYERS: [&str; 10] = [
    "",
    "mask = 'full'",
    "norm_placement = 'post'\nnorm = 'rms'",
    "n_kv_heads = 2\nqk_norm = true\nactivation = 'swiglu'",
    "graph = { global = true }",
    "graph = { global = true }\nnorm_placement = 'post'\nbias = false",
    "backbone = 'gat'",
    "backbone = 'gat'\ngraph = { out_heads = 2 }",
    "backbone = 'gcn'",
    "backbone = 'mlp'",
];

const TASKS: [&str; 6] = [
    "kind = 'graph-nodes'",
    "kind = 'graph-classifier'",
    "kind = 'graph-classifier'\npooling = 'sum'",
    "kind = 'graph-regression'",
    "kind = 'graph-regression'\npooling = 'first'",
    "kind = 'graph-links'",
];

fn config(task: &str, layers: &str) -> ModelConfig {
    let read = |text: &str| text.parse::<toml::Table>().expect("valid TOML");
    let mut table = read("d_model = 8\nn_heads = 4\nn_layers = 2");
    table.extend(read(task));
    table.extend(read(layers));
    let config: ModelConfig = table.try_into().expect("a valid table");
    let sizes = DataSizes {
        n_classes: config.kind().has_classes().then_some(KINDS),
        n_features: Some(WIDTH),
        n_edge_features: Some(2),
        n_structure: Some(PLACE),
        scale: Some((10.0, 4.0)),
        ..DataSizes::default()
    };
    config.resolve(sizes).expect("all sizes are there")
}

pub(crate) fn all() -> impl Iterator<Item = ModelConfig> {
    TASKS
        .iter()
        .flat_map(|task| LAYERS.iter().map(|layers| config(task, layers)))
}

fn rows(seed: u64, n: usize, width: usize) -> Result<Rows> {
    let values = randn(seed, n * width)?.to_dtype(DType::F32)?;
    Rows::new(values.to_vec1::<f32>()?, width)
}

/// Edges `from -> to` between `n` nodes, with numbers that depend on their ends alone.
fn graph(nodes: &Rows, places: &Rows, pairs: &[(u32, u32)], id: &[u32]) -> Outcome<Graphs> {
    let n = nodes.n_rows();
    let (sources, destinations): (Vec<u32>, Vec<u32>) = pairs.iter().copied().unzip();
    let edges = Csr::from_edge_index(n, &sources, &destinations)?;
    let mut known = Vec::new();
    for node in 0..n {
        for &source in edges.sources(node) {
            let (a, b) = (id[source as usize] as f32, id[node] as f32);
            known.extend([a - 2.0 * b, (a * b).sin()]);
        }
    }
    Ok(Graphs {
        nodes: nodes.clone(),
        edges: Arc::new(edges),
        edge_features: Some(Rows::new(known, 2)?),
        structure: Some(places.clone()),
    })
}

/// Two graphs of 4 and 3 nodes; node 3 reads nothing.
const PAIRS: [(u32, u32); 9] = [
    (0, 1),
    (1, 0),
    (1, 2),
    (3, 2),
    (0, 0),
    (4, 5),
    (5, 4),
    (6, 5),
    (4, 6),
];
pub(crate) const WALLS: [u32; 3] = [0, 4, 7];

pub(crate) fn union() -> Outcome<Graphs> {
    let id: Vec<u32> = (0..7).collect();
    graph(&rows(1, 7, WIDTH)?, &rows(2, 7, PLACE)?, &PAIRS, &id)
}

/// Some rows of `of`, in the order given.
fn chosen(of: &Rows, which: &[usize]) -> Result<Rows> {
    let values: Vec<f32> = which.iter().flat_map(|&i| of.row(i).to_vec()).collect();
    Rows::new(values, of.width())
}

pub(crate) fn targets(config: &ModelConfig) -> Targets {
    use models::Kind::{GraphClassifier, GraphNodes, GraphRegression};
    match config.kind() {
        GraphNodes => Targets::Classes([0, 2, IGNORED, 1, 1, 0, 2].into()),
        GraphClassifier => Targets::Classes([2, 0].into()),
        GraphRegression => Targets::Numbers([7.0, 15.0].into()),
        _ => Targets::Links {
            pairs: [[0, 1], [2, 3], [4, 6], [5, 5]].into(),
            present: [1, 0, 1, 0].into(),
        },
    }
}

fn logits(model: &Model, graphs: Graphs, walls: &[u32]) -> Outcome<Tensor> {
    let mask = Mask::new(Pattern::Full, walls.to_vec())?;
    Ok(model.logits(&Input::Graphs(graphs), &mask, Pass::eval())?)
}

#[test]
fn every_parameter_is_reached_and_no_loss_is_lost() -> Outcome {
    for config in all() {
        let (store, model) = shaken(&config)?;
        let input = Input::Graphs(union()?);
        let mask = Mask::new(model.pattern().clone(), WALLS)?;
        let options = LossOptions::default();
        let loss = model.loss(&input, &mask, &targets(&config), options, Pass::eval())?;
        // Attention does not see what is added to every key alike; one head in a row of
        // its own has nothing to choose from.
        let seen = store.named_vars().into_iter();
        reach(&loss, seen.filter(|(name, _)| !name.ends_with("wk.bias")))?;
        let evaluation = model.evaluate(&input, &mask, &targets(&config))?;
        let mean: f64 = loss.to_scalar()?;
        let error = (evaluation.loss().ok_or("no targets")? - mean).abs();
        assert!(error < 1e-9 * mean.abs().max(1.0), "{config:?}: {error}");
    }
    Ok(())
}

#[test]
fn graphs_of_a_batch_do_not_see_each_other() -> Outcome {
    let both = union()?;
    let part = |first: usize, n: usize| -> Outcome<Graphs> {
        let which: Vec<usize> = (first..first + n).collect();
        let inside = |&&(a, _): &&(u32, u32)| which.contains(&(a as usize));
        let pairs: Vec<_> = PAIRS
            .iter()
            .filter(inside)
            .map(|&(a, b)| (a - first as u32, b - first as u32))
            .collect();
        let id: Vec<u32> = which.iter().map(|&i| i as u32).collect();
        let places = both.structure.as_ref().ok_or("no places")?;
        let (nodes, places) = (chosen(&both.nodes, &which)?, chosen(places, &which)?);
        graph(&nodes, &places, &pairs, &id)
    };
    for config in all() {
        let (_, model) = shaken(&config)?;
        let together = logits(&model, both.clone(), &WALLS)?;
        let first = logits(&model, part(0, 4)?, &[0, 4])?;
        let second = logits(&model, part(4, 3)?, &[0, 3])?;
        let apart = Tensor::cat(&[first, second], 0)?;
        assert_close(&together, &apart, 1e-10)?;
    }
    Ok(())
}

#[test]
fn the_order_of_nodes_means_nothing() -> Outcome {
    let both = union()?;
    let order = [2usize, 0, 3, 1, 6, 4, 5];
    let place = |old: u32| order.iter().position(|&i| i == old as usize).unwrap() as u32;
    let pairs: Vec<_> = PAIRS.iter().map(|&(a, b)| (place(a), place(b))).collect();
    let id: Vec<u32> = order.iter().map(|&i| i as u32).collect();
    let places = chosen(both.structure.as_ref().ok_or("no places")?, &order)?;
    let moved = graph(&chosen(&both.nodes, &order)?, &places, &pairs, &id)?;
    for config in all() {
        if config.pooling() == Some(models::Pooling::First) {
            continue;
        }
        let (_, model) = shaken(&config)?;
        let (before, after) = (
            logits(&model, both.clone(), &WALLS)?,
            logits(&model, moved.clone(), &WALLS)?,
        );
        let before = match before.dim(0)? {
            7 => {
                let order: Vec<u32> = order.iter().map(|&i| i as u32).collect();
                before.index_select(&Tensor::new(order, &Device::Cpu)?, 0)?
            }
            _ => before,
        };
        assert_close(&after, &before, 1e-10)?;
    }
    Ok(())
}

#[test]
fn a_node_reads_along_edges_and_no_further_than_there_are_layers() -> Outcome {
    // Of the first graph, node 3 is read by 2 alone, and 2 by none. Plain layers have no
    // residual stream: what 2 reads in the first layer, nobody reads in the second.
    for (layers, reached) in [
        ("", vec![2, 3]),
        ("backbone = 'gat'", vec![]),
        ("backbone = 'gcn'", vec![]),
        ("backbone = 'gcn'\nn_layers = 1", vec![2]),
        ("backbone = 'mlp'", vec![3]),
        ("mask = 'full'", vec![0, 1, 2, 3]),
        ("graph = { global = true }", vec![0, 1, 2, 3]),
    ] {
        let (_, model) = shaken(&config("kind = 'graph-nodes'", layers))?;
        let before = logits(&model, union()?, &WALLS)?;
        let mut graphs = union()?;
        let mut values = graphs.nodes.values().to_vec();
        values[3 * WIDTH] += 1.0;
        graphs.nodes = Rows::new(values, WIDTH)?;
        let after = logits(&model, graphs, &WALLS)?;
        let changed: Vec<usize> = (0..7)
            .filter(|&i| {
                let row = |x: &Tensor| x.narrow(0, i, 1).unwrap();
                max_error(&row(&after), &row(&before)).unwrap() > 1e-9
            })
            .collect();
        assert_eq!(changed, reached, "{layers}");
    }
    Ok(())
}

#[test]
fn numbers_come_back_in_the_unit_of_the_data() -> Outcome {
    let config = config("kind = 'graph-regression'", "");
    let store = ParamStore::new(1, DType::F64, &Device::Cpu);
    let model = Model::build(&config, store.var_builder())?;
    for (name, var) in store.named_vars() {
        if name.starts_with("head") {
            var.set(&var.zeros_like()?)?;
        }
    }
    let answers = logits(&model, union()?, &WALLS)?;
    assert_eq!(answers.flatten_all()?.to_vec1::<f64>()?, [10.0, 10.0]);
    let mask = Mask::new(Pattern::Full, WALLS)?;
    let numbers = Targets::Numbers([14.0, f32::NAN].into());
    let evaluation = model.evaluate(&Input::Graphs(union()?), &mask, &numbers)?;
    assert_eq!(evaluation.n_targets, 1);
    assert_eq!(evaluation.loss(), Some(1.0));
    assert_eq!(evaluation.scores().mae, Some(4.0));
    Ok(())
}

#[test]
fn graphs_of_other_widths_are_refused() -> Outcome {
    let (_, model) = shaken(&config("kind = 'graph-nodes'", ""))?;
    let mut graphs = union()?;
    graphs.edge_features = None;
    let error = logits(&model, graphs, &WALLS).unwrap_err().to_string();
    assert!(
        error.contains("0 numbers of an edge, but the model reads 2"),
        "{error}"
    );
    let error = logits(&model, union()?, &[0, 5, 7])
        .unwrap_err()
        .to_string();
    assert!(error.contains("wall") || error.contains("edge"), "{error}");
    Ok(())
}

#[test]
fn tables_that_no_graph_model_understands_are_refused() {
    for (keys, message) in [
        ("position = 'learnt'", "position"),
        ("mask = 'causal'", "mask = \"causal\" is not for"),
        ("backbone = 'gru'", "backbone = \"gru\""),
        ("graph = { out_heads = 0 }", "graph.out_heads = 0"),
        ("graph = { deviation = 0.0 }", "deviation = 0"),
        (
            "graph = { feature_dropout = 1.0 }",
            "graph.feature_dropout = 1",
        ),
        ("graph = { heads = 1 }", "unknown field `heads`"),
    ] {
        let text = format!("kind = 'graph-nodes'\nd_model = 8\nn_heads = 2\nn_layers = 1\n{keys}");
        let error = toml::from_str::<ModelConfig>(&text)
            .unwrap_err()
            .to_string();
        assert!(error.contains(message), "{keys}: {error}");
    }
    let text = "kind = 'text-classifier'\nd_model = 8\nn_heads = 2\nn_layers = 1\nmask = 'edges'";
    let error = toml::from_str::<ModelConfig>(text).unwrap_err().to_string();
    assert!(error.contains("mask = \"edges\" is not for"), "{error}");
}
