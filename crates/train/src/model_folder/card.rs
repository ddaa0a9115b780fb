//! What a model is, for people.

use std::fmt::Write;

use models::{Kind, cost};

use super::{CONFIG, Description, TOKENIZER, WEIGHTS};

/// The text of a model's `README.md`.
pub(super) fn text(description: &Description) -> String {
    let Description {
        config,
        tokenizer,
        labels,
        results,
        ..
    } = description;
    let model = &config.model;
    let (what, use_it) = match model.kind() {
        Kind::TextLm => ("A causal language model", "generate . --prompt 'Once'"),
        Kind::TextClassifier => ("A text classifier", "predict . 'some text'"),
        Kind::TextEncoder => ("A model of vectors of texts", "predict . 'some text'"),
        Kind::SpeechClassifier => ("A classifier of recordings", "predict . some.wav"),
        Kind::SpeechFrames => ("A labeller of frames of sound", "predict . some.wav"),
        Kind::SpeechCtc => ("A recogniser of speech", "predict . some.wav"),
        Kind::ImageClassifier => ("A classifier of images", "predict . some.png"),
        Kind::GraphNodes => ("A classifier of nodes", "predict . graph.json"),
        Kind::GraphClassifier => ("A classifier of graphs", "predict . graph.json"),
        Kind::GraphRegression => ("A model of a number for each graph", "predict . graph.json"),
        Kind::GraphLinks => ("A model of the links in graphs", "predict . graph.json"),
    };
    let mut text = format!(
        "# {}\n\n{what}, trained with `train`.\n\n",
        config.run.name()
    );
    let mut row = |name: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {name} | {} |",
            value.replace('|', "\\|").replace('\n', " ")
        );
    };
    row("", String::new());
    row("---", "---".into());
    row("parameters", cost::n_params(model).to_string());
    row(
        "width, blocks, heads",
        format!(
            "{}, {}, {}",
            model.d_model(),
            model.n_layers(),
            model.n_heads()
        ),
    );
    row(
        "longest sequence",
        model
            .max_seq_len()
            .map_or_else(|_| "?".into(), |n| format!("{n} positions")),
    );
    if let Some(tokenizer) = tokenizer {
        row("tokens", tokenizer.vocab_size().to_string());
    }
    row("trained on", format!("`{}`", config.data.path().display()));
    if !labels.is_empty() {
        row("classes", labels.join(", "));
    }
    for (name, value) in results {
        row(name, value.clone());
    }
    let _ = write!(
        text,
        "\nUse it from this folder:\n\n```sh\ntrain {use_it}\n```\n\n\
         `{WEIGHTS}` holds the weights, and in its header everything else; `{CONFIG}` and \
         `{TOKENIZER}` are copies for other programs.\n"
    );
    text
}
