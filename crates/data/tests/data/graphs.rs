//! Graphs of every format, from files to batches.

use std::path::Path;
use std::sync::Arc;

use attn_core::Pattern;
use attn_core::input::Graphs;
use data::graph::{GraphData, GraphDataConfig, GraphTask, graphs_of_file};
use data::{Batch, IGNORED, Input, Sample, Samples, Targets};
use serde_json::{Value, json};

use crate::{Folder, TestResult};

pub(crate) fn config(path: &Path, mut table: Value) -> serde_json::Result<GraphDataConfig> {
    table["path"] = path.to_string_lossy().into();
    serde_json::from_value(table)
}

/// All samples of a part, in their order, as they are in epoch `epoch`.
fn all(part: &Arc<dyn Samples>, epoch: u64) -> data::Result<Batch> {
    let samples: Vec<Sample> = (0..part.len())
        .map(|index| Sample { epoch, index })
        .collect();
    part.pack(&samples, &Pattern::Full)
}

fn graphs(batch: &Batch) -> &Graphs {
    match &batch.input {
        Input::Graphs(graphs) => graphs,
        other => panic!("{other:?}"),
    }
}

fn classes(batch: &Batch) -> Vec<u32> {
    match &batch.targets {
        Targets::Classes(classes) => classes.to_vec(),
        other => panic!("{other:?}"),
    }
}

/// Which rows each row reads.
fn reads(batch: &Batch) -> Vec<Vec<u32>> {
    let edges = &graphs(batch).edges;
    (0..edges.n_rows())
        .map(|i| edges.sources(i).to_vec())
        .collect()
}

#[test]
fn a_batch_is_the_disjoint_union_of_its_graphs() -> TestResult {
    let folder = Folder::new()?;
    let lines = [
        r#"{"nodes": ["C", "O"], "edges": [[0, 1]], "edge_features": ["double"], "label": "b"}"#,
        r#"{"nodes": ["O", "C", "C"], "edges": [[2, 1], [0, 1]], "edge_features": ["single", "double"], "label": "a"}"#,
    ];
    let path = folder.write("g.jsonl", lines.join("\n"))?;
    let config = config(&path, json!({"val_fraction": 0.0}))?;
    let data = GraphData::open(&config, GraphTask::Classes, 1, None)?;
    assert_eq!(data.schema().classes, ["a", "b"]);
    let batch = all(&data.train(), 0)?;
    assert_eq!(batch.mask.cu_seqlens()[..], [0, 2, 5]);
    assert_eq!(classes(&batch), [1, 0]);
    assert_eq!(
        reads(&batch),
        [vec![1], vec![0], vec![3], vec![2, 4], vec![3]]
    );
    let graphs = graphs(&batch);
    // Columns C, O and double, single.
    assert_eq!(
        graphs.nodes.values()[..],
        [1., 0., 0., 1., 0., 1., 1., 0., 1., 0.]
    );
    let edges = graphs.edge_features.as_ref().unwrap();
    assert_eq!(
        edges.values()[..],
        [1., 0., 1., 0., 1., 0., 1., 0., 0., 1., 0., 1.]
    );
    // The other order is the other union.
    let samples = [1, 0].map(|index| Sample { epoch: 0, index });
    let turned = data.train().pack(&samples, &Pattern::Full)?;
    assert_eq!(
        reads(&turned),
        [vec![1], vec![0, 2], vec![1], vec![4], vec![3]]
    );
    Ok(())
}

#[test]
fn tables_with_a_split_column_ask_each_part_about_its_own_nodes() -> TestResult {
    let folder = Folder::new()?;
    let nodes = "node\tlabel\tsplit\twords\n\
                 a\t2\ttrain\t0 3\n\
                 b\t10\tval\t1\n\
                 c\t2\ttest\t\n\
                 d\t10\ttrain\t0 1 2\n\
                 e\t2\trest\t3\n";
    let path = folder.write("nodes.tsv", nodes)?;
    let edges = folder.write("edges.tsv", "a\tb\nb\tc\nd\tb\n")?;
    let table = json!({"edges": edges, "normalize": "row", "self_loops": true});
    let data = GraphData::open(&config(&path, table)?, GraphTask::Nodes, 1, None)?;
    // Numbers sort as numbers.
    assert_eq!(data.schema().classes, ["2", "10"]);
    let train = all(&data.train(), 0)?;
    assert_eq!(classes(&train), [0, IGNORED, IGNORED, 1, IGNORED]);
    assert_eq!(
        classes(&all(&data.val().unwrap(), 0)?),
        [IGNORED, 1, IGNORED, IGNORED, IGNORED]
    );
    assert_eq!(
        classes(&all(&data.test()?.unwrap(), 0)?),
        [IGNORED, IGNORED, 0, IGNORED, IGNORED]
    );
    assert_eq!(
        reads(&train),
        [
            vec![0, 1],
            vec![0, 1, 2, 3],
            vec![1, 2],
            vec![1, 3],
            vec![4]
        ]
    );
    let nodes = &graphs(&train).nodes;
    assert_eq!(nodes.row(0), [0.5, 0.0, 0.0, 0.5]);
    assert_eq!(nodes.row(2), [0.0; 4]);
    Ok(())
}

#[test]
fn the_two_text_layouts_hold_the_same_graphs() -> TestResult {
    let folder = Folder::new()?;
    let one = folder.write(
        "m.txt",
        "3\n3 1\n0 1 1\n1 2 0 2\n0 1 1\n2 2\n1 1 1\n2 1 0\n1 1\n0 0\n",
    )?;
    folder.write("tu/DS_A.txt", "1, 2\n2, 1\n2, 3\n3, 2\n4, 5\n5, 4\n")?;
    folder.write("tu/DS_graph_indicator.txt", "1\n1\n1\n2\n2\n3\n")?;
    folder.write("tu/DS_graph_labels.txt", "1\n2\n1\n")?;
    folder.write("tu/DS_node_labels.txt", "0\n1\n0\n1\n2\n0\n")?;
    let open = |path: &Path| -> Result<GraphData, Box<dyn std::error::Error>> {
        let config = config(path, json!({"val_fraction": 0.0}))?;
        Ok(GraphData::open(&config, GraphTask::Classes, 1, None)?)
    };
    let (one, tu) = (open(&one)?, open(&folder.path("tu"))?);
    let (a, b) = (all(&one.train(), 0)?, all(&tu.train(), 0)?);
    assert_eq!(a.input, b.input);
    assert_eq!(a.targets, b.targets);
    assert_eq!(classes(&a), [0, 1, 0]);
    assert_eq!(
        reads(&a),
        [vec![1], vec![0, 2], vec![1], vec![4], vec![3], vec![]]
    );
    Ok(())
}

const MOLECULE: &str = "ethanolate
  made for a test

  4  4  0  0  0  0            999 V2000
    0.0000    0.0000    0.0000 C   0  0
    0.0000    0.0000    0.0000 C   0  0
    0.0000    0.0000    0.0000 O   0  0
    0.0000    0.0000    0.0000 Cl  0  0
  1  2  1  0
  2  3  2  0
  3  1  1  0
  1  4  1  0
M  CHG  1   3  -1
M  END
> <SOL>
-1.5

$$$$
";

#[test]
fn molecules_are_graphs_of_atoms_and_bonds() -> TestResult {
    let folder = Folder::new()?;
    let other = MOLECULE.replace("-1.5", "0.5");
    let path = folder.write("m.sdf", format!("{MOLECULE}{other}"))?;
    let table = json!({"label_column": "SOL", "val_fraction": 0.0});
    let data = GraphData::open(&config(&path, table)?, GraphTask::Numbers, 1, None)?;
    let schema = data.schema();
    assert_eq!(schema.nodes.categories[0], ["C", "O", "Cl"]);
    assert_eq!(schema.nodes.categories[1], ["0", "-1"]);
    assert_eq!(
        schema.edges.categories,
        [vec!["1", "2"], vec!["ring", "chain"]]
    );
    let scale = schema.scale.unwrap();
    assert_eq!((scale.mean, scale.deviation), (-0.5, 1.0));
    let batch = all(&data.train(), 0)?;
    assert_eq!(batch.targets, Targets::Numbers([-1.5, 0.5].into()));
    assert_eq!(reads(&batch)[0], [1, 2, 3]);
    let bonds = graphs(&batch).edge_features.as_ref().unwrap();
    // Bonds of the first atom: single in the ring twice, single out of it.
    assert_eq!(bonds.row(0), [1.0, 0.0, 1.0, 0.0]);
    assert_eq!(bonds.row(2), [1.0, 0.0, 0.0, 1.0]);
    Ok(())
}

#[test]
fn node_link_data_of_networkx_is_read() -> TestResult {
    let folder = Folder::new()?;
    let graph = json!({
        "directed": true, "multigraph": false, "graph": {},
        "nodes": [
            {"id": "ann", "age": 3, "job": "x", "label": "p", "split": "train"},
            {"job": "y", "age": 4.5, "id": "bob", "label": "q", "split": "train"},
            {"id": 7, "age": 0, "job": "x", "label": "p", "split": "val"},
        ],
        "links": [{"source": "ann", "target": 7, "weight": 2}, {"source": 7, "target": "bob", "weight": 1}],
    });
    let path = folder.write("g.json", graph.to_string())?;
    let data = GraphData::open(&config(&path, json!({}))?, GraphTask::Nodes, 1, None)?;
    let batch = all(&data.train(), 0)?;
    assert_eq!(reads(&batch), [vec![], vec![2], vec![0]]);
    assert_eq!(classes(&batch), [0, 1, IGNORED]);
    assert_eq!(graphs(&batch).nodes.row(1), [0.0, 1.0, 4.5]);
    // The same graph is read for a prediction, by what the model knows; new names are none.
    let unknown = graph.to_string().replace("\"y\"", "\"z\"");
    let config = config(&path, json!({}))?;
    let other = folder.write("other.json", unknown)?;
    let part = graphs_of_file(&other, &config, GraphTask::Nodes, data.schema())?;
    assert_eq!(graphs(&all(&part, 0)?).nodes.row(1), [0.0, 0.0, 4.5]);
    Ok(())
}

#[test]
fn pairs_that_a_file_asks_about_are_targets_of_links_alone() -> TestResult {
    let folder = Folder::new()?;
    let lines = [
        json!({"nodes": [[1], [2], [3]], "edges": [[0, 1]], "pairs": [[2, 0]]}),
        json!({"nodes": [{"id": "a", "x": 1}, {"id": "b", "x": 2}], "edges": [], "pairs": [["b", "a"], ["a", "b"]]}),
    ];
    let lines = lines.map(|line| line.to_string()).join("\n");
    let path = folder.write("g.jsonl", &lines)?;
    let config = config(&path, json!({"val_fraction": 0.0}))?;
    let data = GraphData::open(&config, GraphTask::Links, 1, None)?;
    // Training knows of the edge alone.
    match all(&data.train(), 0)?.targets {
        Targets::Links { pairs, present } => {
            assert_eq!((pairs[0], present.iter().sum::<u32>()), ([0, 1], 1));
        }
        other => panic!("{other:?}"),
    }
    let asked = |path: &Path| graphs_of_file(path, &config, GraphTask::Links, data.schema());
    match all(&asked(&path)?, 0)?.targets {
        Targets::Links { pairs, .. } => assert_eq!(*pairs, [[2, 0], [4, 3], [3, 4]]),
        other => panic!("{other:?}"),
    }
    for (bad, fault) in [
        (
            "[[1, 3]]",
            "g.jsonl:1: pairs[0]: a pair with node 3, which is not there; write numbers of nodes, from 0",
        ),
        (
            "[[0, 1], [0]]",
            "g.jsonl:1: pairs[1]: a list is not a pair of nodes; write [source, target]",
        ),
        ("[[0, \"x\"]]", "pairs[0]: a pair with node \"x\""),
        ("7", "`pairs` is a number, not a list"),
        (
            "[]",
            "asks about no links; write JSON with \"pairs\": [[source, target], ...]",
        ),
    ] {
        let graph = format!(r#"{{"nodes": [[1], [2]], "edges": [], "pairs": {bad}}}"#);
        let path = folder.write("g.jsonl", graph)?;
        let error = asked(&path).err().ok_or(bad)?.to_string();
        assert!(error.contains(fault), "{error}");
    }
    Ok(())
}

#[test]
fn folds_cover_all_graphs_once_and_leave_a_validation_part() -> TestResult {
    let folder = Folder::new()?;
    let mut text = String::from("30\n");
    for i in 0..30 {
        text += &format!("1 {}\n{i} 0\n", i % 2);
    }
    let path = folder.write("m.txt", text)?;
    let mut seen = [0; 30];
    for fold in 1..=5 {
        let table = json!({"fold": fold, "folds": 5, "val_fraction": 0.25});
        let data = GraphData::open(&config(&path, table)?, GraphTask::Classes, 7, None)?;
        let [train, val, test] = [data.train(), data.val().unwrap(), data.test()?.unwrap()];
        assert_eq!([train.len(), val.len(), test.len()], [18, 6, 6]);
        let batch = all(&test, 0)?;
        let right = classes(&batch);
        assert_eq!(right.iter().sum::<u32>(), 3, "{right:?}");
        for i in 0..6 {
            let row = graphs(&batch).nodes.row(i);
            let tag = row.iter().position(|&x| x == 1.0).unwrap();
            seen[data.schema().nodes.categories[0][tag].parse::<usize>()?] += 1;
        }
    }
    assert_eq!(seen, [1; 30]);
    // Published folds say it themselves.
    folder.write("folds/train_idx-1.txt", "4\n5\n6\n7\n")?;
    folder.write("folds/test_idx-1.txt", "0\n1\n2\n")?;
    let table = json!({"fold": 1, "fold_files": folder.path("folds"), "val_fraction": 0.0});
    let data = GraphData::open(&config(&path, table)?, GraphTask::Classes, 7, None)?;
    assert_eq!((data.train().len(), data.test()?.unwrap().len()), (4, 3));
    assert_eq!(classes(&all(&data.test()?.unwrap(), 0)?), [0, 1, 0]);
    Ok(())
}

#[test]
fn links_that_are_asked_later_are_not_told() -> TestResult {
    let folder = Folder::new()?;
    let edges: Vec<[u32; 2]> = (0..40).map(|i| [i, (i + 1) % 40]).collect();
    let line = json!({"nodes": 40, "edges": edges}).to_string();
    let path = folder.write("ring.jsonl", line)?;
    let table = json!({"val_fraction": 0.1, "test_fraction": 0.2});
    let data = GraphData::open(&config(&path, table)?, GraphTask::Links, 3, None)?;
    let train = data.train();
    let (first, again, other) = (all(&train, 0)?, all(&train, 0)?, all(&train, 1)?);
    assert_eq!(first.targets, again.targets);
    assert_ne!(
        first.targets, other.targets,
        "an epoch draws pairs of its own"
    );
    let told = reads(&first);
    assert_eq!(told.iter().map(Vec::len).sum::<usize>(), 2 * 28);
    for (part, n) in [(data.val().unwrap(), 4), (data.test()?.unwrap(), 8)] {
        let batch = all(&part, 0)?;
        assert_eq!(reads(&batch), told);
        assert_eq!(batch.targets, all(&part, 5)?.targets);
        let Targets::Links { pairs, present } = &batch.targets else {
            panic!("{:?}", batch.targets);
        };
        assert_eq!(present.iter().sum::<u32>(), n);
        assert_eq!(present.len() as u32, 2 * n);
        for (&[a, b], &is_link) in pairs.iter().zip(present.iter()) {
            assert_eq!((a + 1) % 40 == b || (b + 1) % 40 == a, is_link == 1);
            assert!(!told[a as usize].contains(&b));
        }
    }
    Ok(())
}

#[test]
fn signs_of_eigenvectors_are_flipped_in_training_alone() -> TestResult {
    let table = json!({
        "path": "generated:sbm-cluster", "generate": {"train": 3, "val": 2, "test": 1},
        "encodings": {"laplacian": 4, "random_walk": 3, "degree": 2},
    });
    let config = serde_json::from_value(table)?;
    let data = GraphData::open(&config, GraphTask::Nodes, 1, None)?;
    let rows = |part: &Arc<dyn Samples>, epoch| -> data::Result<Vec<f32>> {
        let batch = all(part, epoch)?;
        Ok(graphs(&batch).structure.as_ref().unwrap().values().to_vec())
    };
    let (a, b) = (rows(&data.train(), 0)?, rows(&data.train(), 1)?);
    assert_ne!(a, b);
    assert_eq!(a, rows(&data.train(), 0)?);
    for (a, b) in a.chunks(9).zip(b.chunks(9)) {
        assert!(a[..4].iter().zip(b).all(|(a, b)| a.abs() == b.abs()));
        assert_eq!(a[4..], b[4..]);
    }
    let val = data.val().unwrap();
    assert_eq!(rows(&val, 0)?, rows(&val, 1)?);
    Ok(())
}

#[test]
fn the_karate_club_has_two_leaders_to_learn_from() -> TestResult {
    let config = serde_json::from_value(json!({"path": "karate"}))?;
    let data = GraphData::open(&config, GraphTask::Nodes, 1, None)?;
    let batch = all(&data.train(), 0)?;
    assert_eq!(graphs(&batch).edges.n_edges(), 2 * 78);
    assert_eq!(batch.n_targets(), 2);
    let test = all(&data.test()?.unwrap(), 0)?;
    assert_eq!(test.n_targets(), 16);
    assert_eq!(all(&data.val().unwrap(), 0)?.n_targets(), 16);
    assert_eq!(data.schema().classes, ["instructor", "officer"]);
    let degrees: Vec<usize> = reads(&batch).iter().map(Vec::len).collect();
    assert_eq!(
        (degrees[0], degrees[32], degrees[33], degrees[11]),
        (16, 12, 17, 1)
    );
    Ok(())
}
