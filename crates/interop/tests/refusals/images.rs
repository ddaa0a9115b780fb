//! Images, and what is done to them before a model reads them.

use serde_json::{Value, json};

use crate::{refusal, refusal_of, set, sound, with};

const VIT: &str = "ViTForImageClassification";

#[test]
fn sides_that_make_no_patches_are_refused() {
    for (key, value, words) in [
        (
            "image_size",
            json!([8, 13]),
            "is not supported; use a model whose image_size is a multiple of patch_size = 4",
        ),
        (
            "image_size",
            json!([8, 0]),
            "is not two whole numbers from 1 to 65536",
        ),
        (
            "image_size",
            json!([8, 12, 3]),
            "is not two whole numbers from 1 to 65536",
        ),
        (
            "image_size",
            json!([]),
            "is not two whole numbers from 1 to 65536",
        ),
        (
            "image_size",
            json!([8.5, 12]),
            "is not two whole numbers from 1 to 65536",
        ),
        (
            "image_size",
            json!([1e30, 12]),
            "is not two whole numbers from 1 to 65536",
        ),
        ("image_size", json!([8, "12"]), "is not a list of numbers"),
        (
            "patch_size",
            json!([4, 2]),
            "is not supported; use a model with square patches",
        ),
        (
            "patch_size",
            json!([4, -4]),
            "is not two whole numbers from 1 to 1024",
        ),
    ] {
        assert_eq!(
            refusal(&with(VIT, key, value.clone())),
            format!("config.json: {key} = {value} {words}"),
        );
    }
}

fn preprocessor() -> Value {
    json!({
        "do_resize": true, "size": { "height": 8, "width": 12 }, "rescale_factor": 1.0 / 255.0,
        "do_normalize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
    })
}

#[track_caller]
fn refused(preprocessor: &Value) -> String {
    refusal_of(&sound(VIT).to_string(), Some(&preprocessor.to_string()))
}

#[test]
fn a_preprocessor_of_another_model_is_refused() {
    let fits = "is not supported; use the file of the model, which reads 8x12";
    let side = "is not a whole number from 1 to 65536";
    let channels = "is not a number for each of 3 channels";
    let positive = "is not a list of numbers above 0, at most 1000000";
    for (key, value, words) in [
        ("size", json!({ "height": 8, "width": 13 }), fits),
        ("size", json!(224), fits),
        ("size", json!([8, 12]), side),
        ("size", json!("8x12"), side),
        ("size.height", json!(0), side),
        ("size.width", json!(1e30), side),
        (
            "do_rescale",
            json!(false),
            "is not supported; use a model that reads numbers from 0 to 1",
        ),
        ("do_rescale", json!(1), "is not true or false"),
        (
            "rescale_factor",
            json!(1),
            "is not supported; use a model with 1/255",
        ),
        (
            "rescale_factor",
            json!(0),
            "is not a number above 0, at most 1000000",
        ),
        ("do_normalize", json!("no"), "is not true or false"),
        ("do_resize", json!(0), "is not true or false"),
        ("do_center_crop", json!(2), "is not true or false"),
        ("image_mean", json!([0.5]), channels),
        ("image_mean", json!([]), channels),
        ("image_mean", json!(0.5), "is not a list of numbers"),
        (
            "image_mean",
            json!([0.5, 0.5, "x"]),
            "is not a list of numbers",
        ),
        (
            "image_mean",
            json!([0.5, 0.5, 1e300]),
            "is not a list of numbers from -1000000 to 1000000",
        ),
        ("image_std", json!([0.5, 0.5]), channels),
        ("image_std", json!([0.5, 0.5, 0]), positive),
        ("image_std", json!([0.5, 0.5, -1]), positive),
        ("image_std", json!([0.5, 0.5, 1e300]), positive),
    ] {
        assert_eq!(
            refused(&set(preprocessor(), key, value.clone())),
            format!("preprocessor_config.json: {key} = {value} {words}"),
        );
    }
    for key in ["image_mean", "image_std"] {
        assert_eq!(
            refused(&set(preprocessor(), key, Value::Null)),
            format!(
                "preprocessor_config.json: `{key}` is missing; use the file as it came with the \
                 weights"
            ),
        );
    }
    let crop = set(preprocessor(), "do_center_crop", json!(true));
    assert_eq!(
        refused(&set(crop, "crop_size", json!(10))),
        format!("preprocessor_config.json: crop_size = 10 {fits}"),
    );
}

#[test]
fn a_preprocessor_that_is_no_object_is_refused() {
    let config = sound(VIT).to_string();
    assert_eq!(
        refusal_of(&config, Some("[]")),
        "preprocessor_config.json: it holds no JSON object; use the file as it came with the weights",
    );
    let line = refusal_of(&config, Some("{"));
    assert!(
        line.starts_with("preprocessor_config.json: it is not JSON: EOF"),
        "{line}"
    );
}
