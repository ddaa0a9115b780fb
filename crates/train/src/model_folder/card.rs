//! What a model is, for people.

use std::fmt::Write;

use models::{Kind, cost};

use super::{ADAPTERS, CONFIG, Description, TOKENIZER, WEIGHTS};

/// What lies beside a card.
#[derive(Debug, Clone, Copy)]
pub(super) enum Files {
    /// A model in our form.
    Own,
    /// Adapters in PEFT's.
    Adapters,
    /// A model in Hugging Face's.
    HuggingFace,
}

/// The text of the `README.md` of a model that is stored as `files`.
pub(super) fn text(description: &Description, files: Files) -> String {
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
    let mut text = String::new();
    if let Some(task) = task(model.kind()) {
        let _ = write!(text, "---\npipeline_tag: {task}\n---\n\n");
    }
    let name = config.run.name();
    let _ = write!(text, "# {name}\n\n{what}, trained with `train`.\n\n");
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
    if let Some(init) = &config.init {
        row("begun with", format!("`{}`", init.from().display()));
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
        "\nUse it from this folder:\n\n```sh\ntrain {use_it}\n```\n\n{}\n\n\
         The configuration, every key with its value:\n\n````toml\n{}\n````\n",
        files.told(),
        config.to_toml().trim_end()
    );
    text
}

impl Files {
    fn told(self) -> String {
        match self {
            Self::Own => format!(
                "`{WEIGHTS}` holds the weights, and in its header everything else; `{CONFIG}` and \
                 `{TOKENIZER}` are copies for other programs."
            ),
            Self::Adapters => format!(
                "`{ADAPTERS}` holds adapters, what was trained beside them, and in its header \
                 everything else but the weights that they belong to; PEFT reads it, too."
            ),
            Self::HuggingFace => format!(
                "`{WEIGHTS}`, or its shards, and `{CONFIG}` are as transformers writes them."
            ),
        }
    }
}

/// What Hugging Face calls what a model does, if it has a word for it.
fn task(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::TextLm => Some("text-generation"),
        Kind::TextClassifier => Some("text-classification"),
        Kind::TextEncoder => Some("feature-extraction"),
        Kind::SpeechClassifier => Some("audio-classification"),
        Kind::SpeechCtc => Some("automatic-speech-recognition"),
        Kind::ImageClassifier => Some("image-classification"),
        Kind::GraphNodes | Kind::GraphClassifier | Kind::GraphRegression | Kind::GraphLinks => {
            Some("graph-ml")
        }
        Kind::SpeechFrames => None,
    }
}
