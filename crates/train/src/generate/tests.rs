use attn_core::{Mask, ParamStore, Pass};
use candle_core::{DType, Device};
use data::text::Tokenizer;
use data::text::tokenizer::Unknown;
use models::text::CausalLm;
use models::{DataSizes, ModelConfig};
use testkit::randn;

use super::*;

type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

const ALPHABET: &str = "\nabcdefgh";
const LONGEST: usize = 6;

/// A model with strong opinions, all of them random.
fn model(keys: &str) -> CausalLm {
    let table = format!("kind = 'text-lm'\nd_model = 16\nn_heads = 2\nn_layers = 2\n{keys}");
    let config: ModelConfig = toml::from_str(&table).unwrap();
    let sizes = DataSizes {
        seq_len: Some(LONGEST),
        vocab_size: Some(ALPHABET.len()),
        n_classes: None,
        ..DataSizes::default()
    };
    let store = ParamStore::new(7, DType::F32, &Device::Cpu);
    CausalLm::new(&config.resolve(sizes.clone()).unwrap(), store.var_builder()).unwrap();
    for (seed, (_, var)) in (0..).zip(store.named_vars()) {
        let noise = (randn(seed, var.shape()).unwrap() * 0.5).unwrap();
        var.set(&noise.to_dtype(DType::F32).unwrap()).unwrap();
    }
    CausalLm::new(&config.resolve(sizes).unwrap(), store.detached()).unwrap()
}

fn tokenizer() -> Tokenizer {
    Tokenizer::chars(ALPHABET.chars(), Unknown::Refused)
}

fn request(prompt: &str, options: SamplerOptions) -> Request {
    Request {
        prompt: prompt.into(),
        max_tokens: 40,
        stop: Vec::new(),
        sampler: Sampler::new(options).unwrap(),
    }
}

fn write(model: &CausalLm, request: &Request) -> Written {
    let mut shown = String::new();
    let written = generate(model, &tokenizer(), request, |piece| {
        shown.push_str(piece);
        Ok(())
    })
    .unwrap();
    assert_eq!(shown, written.text, "what is shown is what is returned");
    written
}

/// The definition: read the whole window anew for every token.
fn without_cache(model: &CausalLm, request: &Request) -> (Vec<u32>, Vec<Vec<f32>>) {
    let mut text = tokenizer().encode(&request.prompt).unwrap();
    let n_prompt = text.len();
    let mut all = Vec::new();
    for _ in 0..request.max_tokens {
        let window = &text[window::start(text.len(), LONGEST)..];
        let mask = Mask::single(model.pattern().clone(), window.len()).unwrap();
        let logits = model.logits(window.into(), &mask, Pass::eval()).unwrap();
        let logits = logits
            .get(window.len() - 1)
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        text.push(request.sampler.choose(&logits, text.len() as u64).unwrap());
        all.push(logits);
    }
    (text.split_off(n_prompt), all)
}

#[test]
fn the_cache_changes_no_token_and_hardly_a_logit() {
    for keys in [
        "",
        "position = 'rotary'\nn_kv_heads = 1",
        "position = 'alibi'",
        "position = 'sinusoidal'\nnorm_placement = 'post'",
        "mask = { band = { left = 2, right = 0 } }\nqk_norm = true",
    ] {
        let model = model(keys);
        for temperature in [0.0, 1.0] {
            for prompt in ["a", "abcdef", "hgfedcbahgfedcba"] {
                let options = SamplerOptions {
                    temperature,
                    seed: 3,
                    ..Default::default()
                };
                let request = request(prompt, options);
                let (tokens, logits) = without_cache(&model, &request);
                assert_eq!(write(&model, &request).tokens, tokens, "{keys} {prompt}");

                let mut text = tokenizer().encode(prompt).unwrap();
                let mut reader = Reader::new(&model);
                for (want, token) in logits.iter().zip(tokens) {
                    let got = reader.read(&text).unwrap();
                    for (got, want) in got.iter().zip(want) {
                        assert!(
                            (got - want).abs() < 1e-4 * want.abs().max(1.0),
                            "{got} {want}"
                        );
                    }
                    text.push(token);
                }
            }
        }
    }
}

#[test]
fn the_seed_decides_and_nothing_else_does() {
    let model = model("");
    let of = |seed| {
        write(
            &model,
            &request(
                "abc",
                SamplerOptions {
                    seed,
                    ..Default::default()
                },
            ),
        )
    };
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    // A longer text begins with the shorter one.
    let mut longer = request(
        "abc",
        SamplerOptions {
            seed: 1,
            ..Default::default()
        },
    );
    longer.max_tokens = 60;
    assert!(write(&model, &longer).text.starts_with(&of(1).text));
    // Going on from what was written is the same as not having stopped.
    let half = of(1).text[..20].to_owned();
    let rest = request(
        &format!("abc{half}"),
        SamplerOptions {
            seed: 1,
            ..Default::default()
        },
    );
    assert!(write(&model, &rest).text.starts_with(&of(1).text[20..]));
}

#[test]
fn a_stop_string_ends_the_text_before_itself() {
    let model = model("");
    let free = write(
        &model,
        &request(
            "abc",
            SamplerOptions {
                seed: 1,
                ..Default::default()
            },
        ),
    );
    assert_eq!((free.end, free.tokens.len()), (End::Length, 40));
    let stop = free.text[10..13].to_owned();
    let first = free.text.find(&stop).unwrap();
    let mut request = request(
        "abc",
        SamplerOptions {
            seed: 1,
            ..Default::default()
        },
    );
    request.stop = vec!["not in the alphabet".into(), stop];
    let stopped = write(&model, &request);
    assert_eq!(
        (stopped.text.as_str(), stopped.end),
        (&free.text[..first], End::Stop)
    );
    assert_eq!(stopped.tokens, free.tokens[..first + 3]);
}

#[test]
fn an_empty_prompt_begins_behind_a_line_break() {
    let model = model("");
    let empty = write(&model, &request("", SamplerOptions::default()));
    assert_eq!(
        empty,
        write(&model, &request("\n", SamplerOptions::default()))
    );
    let mut nothing = request("", SamplerOptions::default());
    nothing.max_tokens = 0;
    assert_eq!(write(&model, &nothing).text, "");
}

#[test]
fn prompts_that_cannot_be_read_are_usage_errors() {
    let model = model("");
    let foreign = request("aXb", SamplerOptions::default());
    let error = generate(&model, &tokenizer(), &foreign, |_| Ok(())).unwrap_err();
    assert!(
        matches!(&error, Error::Usage(message) if message.contains("'X'")),
        "{error}"
    );
    let without_newline = Tokenizer::chars("abc".chars(), Unknown::Refused);
    let empty = request("", SamplerOptions::default());
    let error = generate(&model, &without_newline, &empty, |_| Ok(())).unwrap_err();
    assert!(matches!(error, Error::Usage(_)), "{error}");
}

#[test]
fn whoever_reads_can_end_the_writing() -> Outcome {
    let model = model("");
    let mut n = 0;
    let request = request("a", SamplerOptions::default());
    let outcome = generate(&model, &tokenizer(), &request, |_| {
        n += 1;
        match n {
            5 => Err(Error::Stdout(std::io::ErrorKind::BrokenPipe.into())),
            _ => Ok(()),
        }
    });
    assert!(matches!(outcome, Err(Error::Stdout(_))));
    assert_eq!(n, 5);
    Ok(())
}
