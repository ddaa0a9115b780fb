use super::*;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const LM: &str = "kind = 'text-lm'\nd_model = 128\nn_heads = 4\nn_layers = 2\n";
const CLASSIFIER: &str = "kind = 'text-classifier'\nd_model = 128\nn_heads = 4\nn_layers = 2\n";

fn parse(text: &str) -> std::result::Result<ModelConfig, toml::de::Error> {
    toml::from_str(text)
}

/// What is wrong with `base` when `keys` are added or replaced.
#[track_caller]
fn refusal(base: &str, keys: &str) -> String {
    let new = |line: &&str| {
        !keys
            .lines()
            .any(|key| key.split('=').next() == line.split('=').next())
    };
    let text: String = base
        .lines()
        .filter(new)
        .chain(keys.lines())
        .flat_map(|l| [l, "\n"])
        .collect();
    match parse(&text) {
        Err(error) => error.message().to_owned(),
        Ok(config) => panic!("{keys} is accepted: {config:?}"),
    }
}

#[test]
fn what_is_left_out_has_the_documented_default() -> Result {
    let lm = parse(LM)?;
    assert_eq!(
        (lm.kind(), lm.tied(), lm.pooling()),
        (Kind::TextLm, true, None)
    );
    assert_eq!((lm.n_kv_heads(), lm.head_dim(), lm.d_ff()), (4, 32, 512));
    assert_eq!(
        (lm.mask(), lm.position()),
        (MaskConfig::Causal, EncodingConfig::Learnt)
    );
    assert_eq!(
        (lm.bias(), lm.qk_norm(), lm.norm_eps(), lm.init_std()),
        (true, false, 1e-5, 0.02)
    );
    assert_eq!(lm.memory(), BlockMemory::Keep);
    assert_eq!(
        (lm.embed_norm(), lm.token_types(), lm.pooler()),
        (false, None, false)
    );
    assert_eq!(
        (lm.norm(), lm.norm_placement()),
        (NormKind::Layer, NormOrder::Pre)
    );
    let classifier = parse(&format!("{CLASSIFIER}dropout = 0.1\nactivation = 'swiglu'"))?;
    assert_eq!(classifier.pooling(), Some(Pooling::Mean));
    assert_eq!(classifier.mask(), MaskConfig::Full);
    assert_eq!(classifier.attention_dropout(), 0.1);
    // 8/3 · 128 = 341.33, and the next multiple of 8
    assert_eq!(classifier.d_ff(), 344);
    Ok(())
}

#[test]
fn a_configuration_written_back_reads_as_itself() -> Result {
    let masks = [
        "'causal'",
        "{ band = { left = 16, right = 0 } }",
        "{ chunk = { size = 1, left = 3 } }",
    ];
    let positions = [
        "'none'",
        "'sinusoidal'",
        "'alibi'",
        "'rotary'",
        "{ rotary = { theta = 500.0 } }",
    ];
    for mask in masks {
        for position in positions {
            let config = parse(&format!(
                "{LM}mask = {mask}\nposition = {position}\ntied = false"
            ))?;
            assert_eq!(
                parse(&toml::to_string(&config)?)?,
                config,
                "{mask} {position}"
            );
            assert_eq!(
                parse(&format!("{LM}mask = {}", config.mask()))?.mask(),
                config.mask()
            );
        }
    }
    for kind in ["text-classifier", "text-encoder"] {
        let config = parse(&format!(
            "{}embed_norm = true\ntoken_types = 2\npooler = true",
            CLASSIFIER.replace("text-classifier", kind)
        ))?;
        assert_eq!(
            (config.embed_norm(), config.token_types(), config.pooler()),
            (true, Some(2), true)
        );
        assert_eq!(parse(&toml::to_string(&config)?)?, config, "{kind}");
    }
    let sizes = DataSizes {
        seq_len: Some(64),
        vocab_size: Some(65),
        n_classes: Some(8),
        ..DataSizes::default()
    };
    let config = parse(&format!("{CLASSIFIER}pooling = 'last'"))?.resolve(sizes)?;
    assert_eq!(parse(&toml::to_string(&config)?)?, config);
    Ok(())
}

#[test]
fn data_fill_in_the_sizes_that_are_open() -> Result {
    let sizes = DataSizes {
        seq_len: Some(64),
        vocab_size: Some(65),
        n_classes: Some(8),
        ..DataSizes::default()
    };
    let open = parse(CLASSIFIER)?;
    assert_eq!(
        open.vocab_size(),
        Err(ConfigError::Unresolved { key: "vocab_size" })
    );
    let config = open.resolve(sizes.clone())?;
    let resolved = (
        config.max_seq_len()?,
        config.vocab_size()?,
        config.n_classes()?,
    );
    assert_eq!(resolved, (64, 65, Some(8)));
    assert_eq!(config.resolve(DataSizes::default())?, config);
    let small = parse(&format!("{LM}vocab_size = 50"))?.resolve(sizes.clone());
    assert_eq!(
        small.map_err(|error| error.to_string()),
        Err(
            "vocab_size = 50 is less than the 65 that the data needs; use 65 or more, or remove it"
                .into()
        )
    );
    let large = parse(&format!("{LM}max_seq_len = 256"))?.resolve(sizes)?;
    assert_eq!((large.max_seq_len()?, large.n_classes()?), (256, None));
    Ok(())
}

#[test]
fn a_refusal_names_key_and_value() {
    let of_lm = |keys: &str| refusal(LM, keys);
    assert_eq!(
        of_lm("d_model = 130\nn_heads = 8"),
        "d_model = 130 is not a multiple of n_heads = 8"
    );
    assert_eq!(
        of_lm("n_kv_heads = 3"),
        "n_heads = 4 is not a multiple of n_kv_heads = 3"
    );
    assert_eq!(
        of_lm("n_layers = 0"),
        "n_layers = 0 is out of range; use 1 to 1024"
    );
    assert_eq!(
        of_lm("dropout = 1.0"),
        "dropout = 1 is out of range; use 0 up to, but not including, 1"
    );
    assert_eq!(
        of_lm("norm_eps = nan"),
        "norm_eps = NaN is out of range; use more than 0, at most 1"
    );
    assert_eq!(
        of_lm("mask = 'full'"),
        "mask = \"full\" lets a text-lm read the tokens it is to predict; use mask = \"causal\", \
         or a band with right = 0"
    );
    assert_eq!(
        of_lm("d_model = 60\nposition = 'rotary'"),
        "position = \"rotary\" turns pairs of channels, but d_model = 60 and n_heads = 4 make \
         heads of 15; use a multiple of 8 for d_model"
    );
    assert_eq!(
        of_lm("pooling = 'mean'"),
        "pooling = \"mean\" has no use with kind = \"text-lm\"; remove it"
    );
    assert_eq!(
        refusal(CLASSIFIER, "tied = true"),
        "tied = true has no use with kind = \"text-classifier\"; remove it"
    );
    assert_eq!(
        of_lm("token_types = 17"),
        "token_types = 17 is out of range; use 1 to 16"
    );
    assert_eq!(
        of_lm("pooler = true"),
        "pooler = true has no use with kind = \"text-lm\"; remove it"
    );
    let encoder = CLASSIFIER.replace("text-classifier", "text-encoder");
    assert_eq!(
        refusal(&encoder, "n_classes = 3"),
        "n_classes = 3 has no use with kind = \"text-encoder\"; remove it"
    );
    let images = CLASSIFIER.replace("text-classifier", "image-classifier");
    for key in ["embed_norm = true", "token_types = 2", "pooler = true"] {
        assert_eq!(
            refusal(&images, key),
            format!("{key} has no use with kind = \"image-classifier\"; remove it")
        );
    }
}

#[test]
fn what_cannot_be_a_model_is_refused() {
    for keys in [
        "kind = 'text'",
        "d_model = 0",
        "d_model = -1",
        "d_model = 'wide'",
        "n_heads = 0",
        "d_model = 9223372036854775807",
        "n_kv_heads = 0",
        "n_kv_heads = 8",
        "d_ff = 0",
        "attention_dropout = -0.1",
        "dropout = inf",
        "init_std = 0.0",
        "vocab_size = 0",
        "token_types = 0",
        "token_types = true",
        "embed_norm = 1",
        "max_seq_len = 0",
        "mask = 'casual'",
        "mask = { band = { left = 1, right = 1 } }",
        "mask = { chunk = { size = 0, left = 1 } }",
        "mask = { chunk = { size = 4, left = 1 } }",
        "mask = { band = { left = 1 } }",
        "mask = { band = { left = 1, right = 0, up = 1 } }",
        "position = 'rotary2'",
        "position = { rotary = { theta = -1.0 } }",
        "position = { rotary = { scaling = { kind = 'linear', factor = 0.5 } } }",
        "position = { rotary = { scaling = { kind = 'llama3', factor = 8.0 } } }",
        "position = 3",
        "position = { rotary = { base = 1.0 } }",
        "norm = 'batch'",
        "activation = 'tanh'",
        "n_classes = 3",
        "d_modle = 3",
        "n_layers = 1024\nd_model = 65536\nvocab_size = 16777216",
    ] {
        refusal(LM, keys);
    }
    refusal(CLASSIFIER, "n_classes = 1");
}

#[test]
fn one_key_swaps_the_backbone() -> Result {
    for (keys, mask, position) in [
        (
            "mask = { band = { left = 2, right = 1 } }",
            MaskConfig::Full,
            "none",
        ),
        (
            "mask = { band = { left = 2, right = 0 } }",
            MaskConfig::Causal,
            "none",
        ),
        (
            "mask = { chunk = { size = 4, left = 1 } }",
            MaskConfig::Full,
            "none",
        ),
        ("mask = 'causal'", MaskConfig::Causal, "none"),
        ("position = 'rotary'", MaskConfig::Full, "none"),
        ("position = 'alibi'", MaskConfig::Full, "none"),
        ("position = 'sinusoidal'", MaskConfig::Full, "sinusoidal"),
    ] {
        for backbone in [Backbone::Gru, Backbone::Lstm] {
            let config = parse(&format!("{CLASSIFIER}backbone = '{backbone}'\n{keys}"))?;
            assert_eq!(config.mask(), mask, "{keys}");
            assert_eq!(config.position().name(), position, "{keys}");
        }
    }
    let keys = "backbone = 'cnn'\nposition = 'rotary_2d'\n[image]\nclass_token = true";
    let config = parse(&format!(
        "kind = 'image-classifier'\nd_model = 32\nn_heads = 2\nn_layers = 1\n{keys}"
    ))?;
    assert_eq!(config.position(), EncodingConfig::None);
    assert!(config.image().is_some_and(|image| !image.class_token()));
    assert_eq!(config.pooling(), Some(Pooling::Mean));
    Ok(())
}

#[test]
fn states_of_two_directions_are_halved() {
    let got = refusal(CLASSIFIER, "backbone = 'gru'\nd_model = 33\nn_heads = 1");
    assert_eq!(
        got,
        "d_model = 33 is odd, but half of the states run backward; use an even d_model, or \
         mask = \"causal\""
    );
}

#[test]
fn recurrent_layers_need_no_position() -> Result {
    let config = parse(&format!("{LM}backbone = 'gru'"))?;
    assert_eq!(config.position(), EncodingConfig::None);
    assert_eq!(config.backbone(), Backbone::Gru);
    let again: ModelConfig = toml::from_str(&toml::to_string(&config)?)?;
    assert_eq!(again, config);
    Ok(())
}

#[test]
fn every_error_tells_which_keys_it_is_about() {
    let errors = [
        ConfigError::HeadsDoNotDivide {
            d_model: 130,
            n_heads: 8,
        },
        ConfigError::KvHeadsDoNotDivide {
            n_heads: 8,
            n_kv_heads: 3,
        },
        ConfigError::SizeOutOfRange {
            key: "n_layers",
            value: 0,
            range: 1..=2,
        },
        ConfigError::DropoutOutOfRange {
            key: "dropout",
            value: 1.0,
        },
        ConfigError::NotPositive {
            key: "init_std",
            value: 0.0,
            most: 1.0,
        },
        ConfigError::NoUse {
            key: "tied",
            value: "true".into(),
            kind: Kind::TextClassifier,
        },
        ConfigError::ReadsItsTargets {
            mask: MaskConfig::Full,
        },
        ConfigError::OddHeads {
            d_model: 60,
            n_heads: 4,
            head_dim: 15,
        },
        ConfigError::TooManyParameters {
            d_model: 65536,
            d_ff: 262144,
            n_layers: 1024,
        },
        ConfigError::OddStates { d_model: 33 },
        ConfigError::Unresolved { key: "n_classes" },
        ConfigError::TooSmallForData {
            key: "vocab_size",
            value: 1,
            needed: 2,
        },
    ];
    for error in errors {
        let message = error.to_string();
        assert!(!error.keys().is_empty());
        for key in error.keys() {
            assert!(message.contains(key), "`{key}` is not in: {message}");
        }
    }
}

#[test]
fn the_schema_knows_every_key() -> Result {
    let schema = serde_json::to_value(schemars::schema_for!(ModelConfig))?;
    let known = &schema["properties"];
    let config = parse(CLASSIFIER)?.resolve(DataSizes {
        seq_len: Some(1),
        vocab_size: Some(1),
        n_classes: Some(2),
        ..DataSizes::default()
    })?;
    for key in toml::Table::try_from(config)?
        .keys()
        .chain(&["tied", "embed_norm", "token_types", "pooler"].map(str::to_owned))
    {
        assert!(known.get(key).is_some(), "{key} is not in\n{known}");
    }
    Ok(())
}
