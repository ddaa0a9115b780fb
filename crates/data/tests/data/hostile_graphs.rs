//! Graphs that are damaged: each is an error of one line with its place.

use data::graph::{GraphData, GraphTask};
use serde_json::{Value, json};

use crate::graphs::config;
use crate::{Folder, TestResult};

/// A file by its name, what is in it, and what the error says after the folder.
type Case = (&'static str, &'static str, &'static str);

fn check(task: GraphTask, table: Value, others: &[(&str, &str)], cases: &[Case]) -> TestResult {
    for &(name, content, message) in cases {
        let folder = Folder::new()?;
        for (name, content) in others {
            folder.write(name, content)?;
        }
        let mut path = folder.write(name, content)?;
        let mut table = table.clone();
        if let Some((start, _)) = name.split_once('/') {
            path = folder.path(start);
        }
        for key in ["edges", "val", "fold_files"] {
            if let Some(name) = table.get(key).and_then(Value::as_str) {
                table[key] = folder.path(name).to_string_lossy().into();
            }
        }
        let config = config(&path, table)?;
        let Err(error) = GraphData::open(&config, task, 1, None) else {
            return Err(format!("{name} {content:?}: was accepted").into());
        };
        let error = error.to_string();
        let start = format!("{}/", folder.path("").display());
        let start = start.replace("//", "/");
        assert!(
            error.starts_with(&format!("{start}{message}")),
            "{content}\n{error}\n{message}"
        );
        assert!(!error.contains('\n') && error.contains("; "), "{error}");
    }
    Ok(())
}

#[test]
fn json() -> TestResult {
    let cases = [
        ("a.jsonl", "", "a.jsonl: holds no graph"),
        ("a.jsonl", "\n\n[1]", "a.jsonl:3:"),
        (
            "a.jsonl",
            r#"{"edges": []}"#,
            "a.jsonl:1: no column `nodes`",
        ),
        ("a.jsonl", r#"{"nodes": 2}"#, "a.jsonl:1: no column `edges`"),
        (
            "a.jsonl",
            r#"{"nodes": 0, "edges": [], "label": 1}"#,
            "a.jsonl:1: the graph has no nodes",
        ),
        (
            "a.jsonl",
            r#"{"nodes": -3, "edges": []}"#,
            "a.jsonl:1: nodes = -3 is not between 0",
        ),
        (
            "a.jsonl",
            r#"{"nodes": 99999999999, "edges": []}"#,
            "a.jsonl:1: nodes = 99999999999 is not",
        ),
        (
            "a.jsonl",
            r#"{"nodes": 2, "edges": [[0, 1], [1, 2]]}"#,
            "a.jsonl:1: edges[1]: an edge to node 2, but there are 2 nodes",
        ),
        (
            "a.jsonl",
            r#"{"nodes": 2, "edges": [[0, -1]]}"#,
            "a.jsonl:1: edges[0]: an edge to node -1",
        ),
        (
            "a.jsonl",
            r#"{"nodes": 2, "edges": [[0, 1.5]]}"#,
            "a.jsonl:1: edges[0]: an edge to node 1.5",
        ),
        (
            "a.jsonl",
            r#"{"nodes": 2, "edges": [[0]]}"#,
            "a.jsonl:1: edges[0]: a list is not an edge",
        ),
        (
            "a.jsonl",
            r#"{"nodes": 2, "edges": [[0, 1], [1, 0], [0, 1]]}"#,
            "a.jsonl:1: edges[2]: edge 0 -> 1 is listed twice",
        ),
        (
            "a.jsonl",
            r#"{"nodes": 2, "edges": [[0, 1], [1, 0]], "edge_features": [[1], [2]]}"#,
            "a.jsonl:1: edges[1]: edge 0 -> 1 is listed both ways with different features",
        ),
        (
            "a.jsonl",
            r#"{"nodes": 2, "edges": [[0, 0], [0, 0]]}"#,
            "a.jsonl:1: edges[1]: edge 0 -> 0 is listed twice",
        ),
        (
            "a.jsonl",
            r#"{"nodes": [[1, 2], [1]], "edges": []}"#,
            "a.jsonl:1: nodes[1]: 1 numbers, but the other nodes have 2",
        ),
        (
            "a.jsonl",
            "{\"nodes\": [[1]], \"edges\": [], \"label\": 1}\n{\"nodes\": [\"x\"], \"edges\": []}",
            "a.jsonl:2: nodes[0]: 0 numbers, but the other nodes have 1",
        ),
        (
            "a.jsonl",
            r#"{"nodes": [[1e999]], "edges": []}"#,
            "a.jsonl:1:",
        ),
        (
            "a.jsonl",
            r#"{"nodes": [[1e300]], "edges": []}"#,
            "a.jsonl:1: nodes[0]: a feature of this node is inf",
        ),
        (
            "a.jsonl",
            r#"{"nodes": [[NaN]], "edges": []}"#,
            "a.jsonl:1:13: not a JSON object",
        ),
        (
            "a.jsonl",
            r#"{"nodes": [null], "edges": []}"#,
            "a.jsonl:1: nodes[0]: null is not a feature",
        ),
        (
            "a.jsonl",
            r#"{"nodes": 2, "edges": [[0, 1]], "edge_features": []}"#,
            "a.jsonl:1: 0 edge_features for 1 edges",
        ),
        (
            "a.jsonl",
            r#"{"nodes": 2, "edges": [[0, 1]]}"#,
            "a.jsonl:1: the graph has no label",
        ),
        (
            "a.jsonl",
            r#"{"nodes": 2, "edges": [[0, 1]], "label": "x"}"#,
            "a.jsonl: only one class, `x`",
        ),
        (
            "a.jsonl",
            r#"{"nodes": 2, "edges": [], "label": "x", "split": "trian"}"#,
            "a.jsonl:1: `trian` is no part of the data",
        ),
        ("a.json", "3", "a.json: a number is not a graph"),
        (
            "a.json",
            "[{\n\"nodes\": 1,",
            "a.json:2:11: not a JSON object",
        ),
        (
            "a.json",
            r#"{"nodes": [{"id": "a"}, {"id": "a"}], "links": []}"#,
            "a.json: nodes[1]: two nodes have the id `a`",
        ),
        (
            "a.json",
            r#"{"nodes": [{"id": "a"}, {}], "links": []}"#,
            "a.json: 1 of 2 nodes have an id",
        ),
        (
            "a.json",
            r#"{"nodes": [{"id": "a"}], "links": [{"source": "a", "target": "b"}]}"#,
            "a.json: links[0]: an edge to node \"b\", which is not there",
        ),
        (
            "a.json",
            r#"{"nodes": [{"id": "a"}], "links": [{"source": "a"}]}"#,
            "a.json: no column `target`",
        ),
    ];
    check(
        GraphTask::Classes,
        json!({"val_fraction": 0.0}),
        &[],
        &cases,
    )
}

#[test]
fn node_labels_and_parts() -> TestResult {
    let cases = [
        (
            "a.jsonl",
            r#"{"nodes": 2, "edges": []}"#,
            "a.jsonl: no node has a label",
        ),
        (
            "a.jsonl",
            r#"{"nodes": 2, "edges": [], "labels": ["a"]}"#,
            "a.jsonl:1: 1 labels for 2 nodes",
        ),
        (
            "a.jsonl",
            r#"{"nodes": 2, "edges": [], "labels": ["a", "b"], "splits": ["val", "test"]}"#,
            "a.jsonl: no node of the training part has a label",
        ),
        (
            "a.jsonl",
            r#"{"nodes": 3, "edges": [], "labels": ["a", "b", null], "splits": ["val", "test", "train"]}"#,
            "a.jsonl: no node of the training part has a label",
        ),
        (
            "a.jsonl",
            r#"{"nodes": 2, "edges": [], "labels": ["a", "b"], "split": "test"}"#,
            "a.jsonl: nothing is left to train on",
        ),
    ];
    check(
        GraphTask::Nodes,
        json!({"test_fraction": 0.1}),
        &[],
        &cases[..3],
    )?;
    check(GraphTask::Nodes, json!({}), &[], &cases[3..4])?;
    let val = [("v.jsonl", r#"{"nodes": 1, "edges": [], "labels": ["c"]}"#)];
    let known = [("v.jsonl", r#"{"nodes": 1, "edges": [], "labels": ["a"]}"#)];
    check(
        GraphTask::Nodes,
        json!({"val": "v.jsonl"}),
        &known,
        &cases[4..],
    )?;
    let good = (
        "a.jsonl",
        r#"{"nodes": 2, "edges": [], "labels": ["a", "b"]}"#,
        "v.jsonl:1: label `c` is not one of the classes",
    );
    check(GraphTask::Nodes, json!({"val": "v.jsonl"}), &val, &[good])
}

#[test]
fn tables() -> TestResult {
    let edges = [("e.tsv", "0\t1\n"), ("far.tsv", "0\t1\n0\t9\n")];
    let table = json!({"edges": "e.tsv"});
    let cases = [
        ("n.tsv", "", "n.tsv:1: no column `node`"),
        ("n.tsv", "nod\tlabel\n", "n.tsv:1: no column `node`"),
        (
            "n.tsv",
            "node\tlabel\n0\n",
            "n.tsv:2: 1 fields, but the header has 2",
        ),
        (
            "n.tsv",
            "node\tlabel\n0\ta\n0\tb\n",
            "n.tsv:3: two nodes are called `0`",
        ),
        (
            "n.tsv",
            "node\tlabel\tsplit\n0\ta\tsome\n",
            "n.tsv:2: `some` is no part",
        ),
        (
            "n.tsv",
            "node\tlabel\twords\n0\ta\t1 -2\n",
            "n.tsv:2: `-2` is not an id",
        ),
        (
            "n.tsv",
            "node\tlabel\twords\n0\ta\t4000000000\n",
            "n.tsv:2: id 4000000000 is not below 65536",
        ),
        (
            "n.tsv",
            "node\tlabel\tx\n0\ta\tNaN\n1\tb\t2\n",
            "n.tsv:2: a feature of this node is NaN",
        ),
        (
            "n.tsv",
            "node\tlabel\n0\ta\n",
            "e.tsv:1: an edge to node `1`, which is not in the table",
        ),
    ];
    check(GraphTask::Nodes, table, &edges, &cases)?;
    let far = [(
        "n.tsv",
        "node\tlabel\n0\ta\n1\tb\n",
        "far.tsv:2: an edge to node `9`",
    )];
    check(GraphTask::Nodes, json!({"edges": "far.tsv"}), &edges, &far)?;
    let none = [(
        "n.tsv",
        "node\tlabel\n0\ta\n1\tb\n",
        "n.tsv: a table of nodes needs",
    )];
    check(GraphTask::Nodes, json!({}), &edges, &none)
}

#[test]
fn texts_of_numbers() -> TestResult {
    let cases = [
        ("m.txt", "x\n", "m.txt:1: `x` is not the number of graphs"),
        ("m.txt", "-1\n", "m.txt:1: `-1` is not the number of graphs"),
        (
            "m.txt",
            "2\n1 0\n0 0\n",
            "m.txt:3: the file ends before graph 1 of the 2",
        ),
        (
            "m.txt",
            "1\n2 0\n0 0\n",
            "m.txt:3: the file ends before node 1 of the 2",
        ),
        (
            "m.txt",
            "1\n2 0\n0 1 1\n0 1\n",
            "m.txt:4: 0 neighbours, but 1 are promised",
        ),
        (
            "m.txt",
            "1\n2 0\n0 1 5\n0 0\n",
            "m.txt:3: an edge to node 5",
        ),
        (
            "m.txt",
            "1\n2 0\n0 1 -1\n0 0\n",
            "m.txt:3: `-1` is not a neighbour",
        ),
        (
            "m.txt",
            "1\n2 0\n0 2 1 1\n0 0\n",
            "m.txt:3: edge 1 -> 0 is listed twice",
        ),
        (
            "m.txt",
            "1\n1 0\n0 0\n0 0\n",
            "m.txt:4: a line after the 1 graphs",
        ),
        (
            "m.txt",
            "1\n1 0\n0 0 nan\n",
            "m.txt:3: a feature of this node is NaN",
        ),
        (
            "m.txt",
            "99999999999\n1 0\n0 0\n",
            "m.txt:3: the file ends before graph 1",
        ),
    ];
    check(GraphTask::Classes, json!({}), &[], &cases)
}

#[test]
fn folders_in_the_tu_layout() -> TestResult {
    let others = [
        ("tu/D_graph_indicator.txt", "1\n1\n2\n"),
        ("tu/D_graph_labels.txt", "1\n2\n"),
    ];
    let cases = [
        (
            "tu/D_A.txt",
            "1, 4\n",
            "tu/D_A.txt:1: an edge to node 4, but there are 3",
        ),
        ("tu/D_A.txt", "1, 0\n", "tu/D_A.txt:1: an edge to node 0"),
        (
            "tu/D_A.txt",
            "1, 2\n1, 3\n",
            "tu/D_A.txt:2: an edge from graph 1 to graph 2",
        ),
        ("tu/D_A.txt", "1\n", "tu/D_A.txt:1: 1 numbers, but an edge"),
        (
            "tu/D_A.txt",
            "1, 2\n2, 1\n1, 2\n",
            "tu/D_A.txt:3: edge 0 -> 1 is listed twice",
        ),
    ];
    check(GraphTask::Classes, json!({}), &others, &cases)?;
    let labels = [others[0], ("tu/D_graph_labels.txt", "1\n")];
    let short = [(
        "tu/D_A.txt",
        "",
        "tu/D_graph_labels.txt: 1 lines, but there are 2 graphs",
    )];
    check(GraphTask::Classes, json!({}), &labels, &short)?;
    let gap = [("tu/D_graph_indicator.txt", "1\n3\n"), others[1]];
    let cases = [(
        "tu/D_A.txt",
        "",
        "tu/D_graph_indicator.txt:2: graph 3 after graph 1",
    )];
    check(GraphTask::Classes, json!({}), &gap, &cases)?;
    let nan = [
        others[0],
        others[1],
        ("tu/D_node_attributes.txt", "1\nnan\n2\n"),
    ];
    let cases = [(
        "tu/D_A.txt",
        "",
        "tu/D_node_attributes.txt:2: a feature of this node is NaN",
    )];
    check(GraphTask::Classes, json!({}), &nan, &cases)
}

#[test]
fn molecules() -> TestResult {
    let cases = [
        (
            "m.sdf",
            "name\n",
            "m.sdf:1: the file ends before the counts",
        ),
        (
            "m.sdf",
            "a\nb\nc\n  x  0 V2000\n",
            "m.sdf:4: `x` in columns 1 to 3",
        ),
        (
            "m.sdf",
            "a\nb\nc\n  0  0  0     0  0            999 V3000\n",
            "m.sdf:4: a molecule in the format V3000",
        ),
        (
            "m.sdf",
            "a\nb\nc\n  1  0  0 V2000\n",
            "m.sdf:4: the file ends before the atoms",
        ),
        (
            "m.sdf",
            "a\nb\nc\n  1  0  0 V2000\n  0.0  é\n",
            "m.sdf:5: no element in columns 31 to 34",
        ),
        (
            "m.sdf",
            "a\nb\nc\n  1  1  0 V2000\n    0.0000    0.0000    0.0000 C   0\n  1  2  1\n",
            "m.sdf:6: a bond to atom 2, but there are 1",
        ),
        (
            "m.sdf",
            "a\nb\nc\n  1  0  0 V2000\n    0.0000    0.0000    0.0000 C   0\nM  CHG  1   2   1\n",
            "m.sdf:6: the charge of atom 2, which is not there",
        ),
        (
            "m.sdf",
            "a\nb\nc\n  1  0  0 V2000\n    0.0000    0.0000    0.0000 C   0\nM  END\n$$$$\n",
            "m.sdf:4: the graph has no label",
        ),
        (
            "m.sdf",
            "a\nb\nc\n  1  0  0 V2000\n    0.0000    0.0000    0.0000 C   0\nM  END\n> <label>\nhigh\n\n$$$$\n",
            "m.sdf:8: label `high` is not a finite number",
        ),
        (
            "m.sdf",
            "a\nb\nc\n  0  0  0 V2000\nM  END\n$$$$\n",
            "m.sdf:4: the graph has no nodes",
        ),
    ];
    check(
        GraphTask::Numbers,
        json!({"val_fraction": 0.0}),
        &[],
        &cases,
    )
}

#[test]
fn folds_and_sizes() -> TestResult {
    let text = "3\n1 0\n0 0\n1 1\n0 0\n1 0\n0 0\n";
    let table = json!({"fold": 1, "fold_files": "f"});
    for (train, message) in [
        ("0\n7\n", "f/train_idx-1.txt:2: graph 7, but there are 3"),
        ("0\n0\n", "f/train_idx-1.txt:2: graph 0 is listed twice"),
        (
            "-1\n",
            "f/train_idx-1.txt:1: `-1` is not the number of a graph",
        ),
        ("", "m.txt: nothing is left to train on"),
        ("0\n2\n", "f/test_idx-1.txt:1: graph 2 is listed twice"),
    ] {
        let others = [("f/train_idx-1.txt", train), ("f/test_idx-1.txt", "2\n")];
        check(
            GraphTask::Classes,
            table.clone(),
            &others,
            &[("m.txt", text, message)],
        )?;
    }
    let missing = [("m.txt", text, "f/train_idx-1.txt: cannot read")];
    check(GraphTask::Classes, table, &[], &missing)?;
    let large = [(
        "a.jsonl",
        r#"{"nodes": 5000, "edges": [], "label": 1}"#,
        "a.jsonl:1: 5000 nodes, but encodings.laplacian is for up to 4096",
    )];
    let table = json!({"encodings": {"laplacian": 2}, "val_fraction": 0.0});
    check(GraphTask::Numbers, table, &[], &large)
}

#[test]
fn what_is_merely_unusual_is_accepted() -> TestResult {
    let folder = Folder::new()?;
    for (content, table) in [
        // Nodes alone, edges to oneself, and no edges at all.
        (
            r#"{"nodes": 3, "edges": [[1, 1]], "label": 0.5}"#,
            json!({}),
        ),
        (
            r#"{"nodes": 3, "edges": [], "label": 0.5}"#,
            json!({"self_loops": true, "hops": 3}),
        ),
        // Twice, where that is asked for.
        (
            r#"{"nodes": 2, "edges": [[0, 1], [0, 1]], "label": 1}"#,
            json!({"duplicate_edges": "merge"}),
        ),
        (
            r#"{"nodes": 1, "edges": [], "label": 3}"#,
            json!({"encodings": {"laplacian": 3, "random_walk": 2}}),
        ),
    ] {
        let path = folder.write("a.jsonl", content)?;
        let mut table = table;
        table["val_fraction"] = 0.0.into();
        let data = GraphData::open(&config(&path, table)?, GraphTask::Numbers, 1, None)?;
        let sample = data::Sample { epoch: 0, index: 0 };
        data.train().pack(&[sample], &attn_core::Pattern::Full)?;
    }
    Ok(())
}

#[test]
fn graphs_that_cannot_be_read_are_left_out_up_to_a_cap_on_request() -> TestResult {
    let folder = Folder::new()?;
    let good = r#"{"nodes": [[1]], "edges": [], "label": 1}"#;
    let text = format!("{good}\n{{\n{{\"nodes\": [[1], [2, 3]], \"edges\": []}}\n{good}\n");
    let path = folder.write("a.jsonl", text)?;
    let open = |n: u64| -> Result<data::Result<GraphData>, Box<dyn std::error::Error>> {
        let table = json!({"on_error": "skip", "max_skipped": n, "val_fraction": 0.0});
        let config = config(&path, table)?;
        Ok(GraphData::open(&config, GraphTask::Numbers, 1, None))
    };
    assert_eq!(open(2)??.train().len(), 2);
    let error = open(1)?.unwrap_err().to_string();
    assert!(error.contains("a.jsonl:3: nodes[1]: 2 numbers"), "{error}");
    Ok(())
}
