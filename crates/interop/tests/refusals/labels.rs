//! Names of classes that lie.

use serde_json::{Value, json};

use crate::{refusal, set, with};

const CLASSIFIERS: [&str; 4] = [
    "BertForSequenceClassification",
    "RobertaForSequenceClassification",
    "ViTForImageClassification",
    "ASTForAudioClassification",
];

#[test]
fn labels_that_are_none_are_refused() {
    let each = |last: usize| format!("is not a name for each of 0 to {last}");
    let one = "is not supported; use a model with two classes or more, not one number";
    for class in CLASSIFIERS {
        for (value, words) in [
            (json!(["a", "b"]), "is not a table".to_owned()),
            (json!("a"), "is not a table".to_owned()),
            (json!({ "0": "a", "2": "b" }), each(1)),
            (json!({ "1": "a", "2": "b" }), each(1)),
            (json!({ "0": "a", "1": 1 }), each(1)),
            (json!({ "0": "a", "01": "b" }), each(1)),
            (json!({ "0": "a", "-1": "b" }), each(1)),
            (json!({ "0": "a", "1e30": "b" }), each(1)),
            (json!({ "a": 0, "b": 1 }), each(1)),
            (json!({ "0": "a" }), one.to_owned()),
            (json!({}), one.to_owned()),
        ] {
            assert_eq!(
                refusal(&with(class, "id2label", value.clone())),
                format!("config.json: id2label = {value} {words}"),
            );
        }
    }
}

#[test]
fn numbers_of_labels_that_lie_are_refused() {
    for class in CLASSIFIERS {
        for lie in [
            json!(0),
            json!(-1),
            json!(1u64 << 40),
            json!(1e30),
            json!("2"),
        ] {
            assert_eq!(
                refusal(&with(class, "num_labels", lie.clone())),
                format!("config.json: num_labels = {lie} is not a whole number from 1 to 1048576"),
            );
        }
        assert_eq!(
            refusal(&with(class, "num_labels", json!(1))),
            "config.json: num_labels = 1 is not supported; use a model with two classes or more, \
             not one number",
        );
    }
}

#[test]
fn more_labels_than_any_model_has_are_refused() {
    let name = |id: usize| (id.to_string(), json!("x"));
    let many: Value = Value::Object((0..(1 << 20) + 1).map(name).collect());
    let line = refusal(&with(CLASSIFIERS[0], "id2label", many));
    assert!(line.starts_with("config.json: id2label = {"), "{line}");
    assert!(
        line.ends_with(" … is not a table of at most 1048576 names"),
        "{line}"
    );
}

#[test]
fn other_problems_than_one_class_of_several_are_refused() {
    for class in CLASSIFIERS {
        for problem in ["regression", "multi_label_classification", ""] {
            let config = with(class, "id2label", json!({ "0": "a", "1": "b" }));
            assert_eq!(
                refusal(&set(config, "problem_type", json!(problem))),
                format!(
                    "config.json: problem_type = \"{problem}\" is not supported; use a model that \
                     chooses one class, \"single_label_classification\""
                ),
            );
        }
        let line = refusal(&with(class, "problem_type", json!(1)));
        assert_eq!(line, "config.json: problem_type = 1 is not a string");
    }
}
