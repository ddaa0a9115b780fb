#!/usr/bin/env python3
"""Tiny models of transformers, and what they compute, for the tests of `interop`.

    python scripts/parity/make_golden.py           # write the files
    python scripts/parity/make_golden.py --check   # recompute, and compare with the files
    python scripts/parity/make_golden.py --read DIR
        # load what `cargo test -p interop` wrote to DIR (INTEROP_EXPORT=DIR), and compare
        # what transformers computes with it to the files

Needs torch==2.11.0, transformers==5.24.0, safetensors and numpy. Writes a folder a model
under crates/interop/tests/golden/: config.json and model.safetensors, as transformers
saves them, and golden.safetensors. There `tokens`, `pixels` or `frames` are the input,
`cu_seqlens` says where each text or recording ends, and the rest is what the model makes of each by itself, computed
in f64.

Weights are drawn from a fixed seed, wide enough that every layer bends what it reads; a
model as transformers initialises it is nearly linear, and would not tell two GELUs apart.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
import transformers as hf
from safetensors.numpy import load_file, save_file

GOLDEN = Path(__file__).resolve().parents[2] / "crates/interop/tests/golden"
VERSION = "5.24.0"
TOLERANCE = 1e-6  # of --check, relative above one and absolute below
TOLERANCE_OF_READ = 2e-4  # weights and sums are f32 there
VOCAB = 48
SIZES = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24)
TEXT = dict(**SIZES, vocab_size=VOCAB, max_position_embeddings=12)
LENGTHS = [7, 1, 10]
LABELS = {"id2label": {0: "cold", 1: "mild", 2: "hot"}, "label2id": {"cold": 0, "mild": 1, "hot": 2}}
MEAN, STD = [0.5, 0.4, 0.3], [0.25, 0.5, 0.75]


def draw(model, seed):
    """Sets every parameter from the seed, by name, so that no order matters."""
    with torch.no_grad():
        for index, (name, parameter) in enumerate(sorted(model.named_parameters())):
            rng = np.random.Generator(np.random.PCG64([seed, index]))
            x = rng.standard_normal(tuple(parameter.shape))
            norm = any(part in name.lower() for part in ("norm", "ln_"))
            x = 1 + 0.2 * x if norm and name.endswith("weight") else 0.3 * x
            # The rows that RoBERTa never reads; we do not keep them.
            if "position_embeddings" in name and "oberta" in type(model).__name__:
                x[:2] = 0
            parameter.copy_(torch.from_numpy(x.astype(np.float32)))


def texts(seed):
    """Texts without the ids that mean padding to one of the families."""
    rng = np.random.Generator(np.random.PCG64(seed))
    return [torch.from_numpy(rng.integers(3, VOCAB, (1, n))) for n in LENGTHS]


def packed(inputs):
    ends = np.cumsum([0] + [len(x[0]) for x in inputs])
    tokens = torch.cat(inputs, dim=1)[0].numpy()
    return {"tokens": tokens.astype(np.uint32), "cu_seqlens": ends.astype(np.uint32)}


def rows(outputs):
    """The rows of all texts, one behind the other."""
    return torch.cat([x[0] for x in outputs])


def encoder(model, seed):
    inputs = texts(seed)
    outputs = [model(input_ids=x) for x in inputs]
    hidden = rows([y.last_hidden_state for y in outputs])
    pooled = torch.cat([y.pooler_output for y in outputs])
    mean = torch.cat([y.last_hidden_state.mean(dim=1) for y in outputs])
    return packed(inputs) | {"hidden": hidden, "pooled": pooled, "mean": mean}


def masked_lm(model, seed):
    inputs = texts(seed)
    body = getattr(model, model.base_model_prefix)
    hidden = [body(input_ids=x).last_hidden_state for x in inputs]
    mean = torch.cat([x.mean(dim=1) for x in hidden])
    return packed(inputs) | {"hidden": rows(hidden), "mean": mean}


def classifier(model, seed):
    inputs = texts(seed)
    return packed(inputs) | {"logits": torch.cat([model(input_ids=x).logits for x in inputs])}


def lm(model, seed):
    inputs = texts(seed)
    return packed(inputs) | {"logits": rows([model(input_ids=x).logits for x in inputs])}


def tied_body(model, seed):
    inputs = texts(seed)
    table = model.get_input_embeddings().weight
    logits = [model(input_ids=x).last_hidden_state @ table.T for x in inputs]
    return packed(inputs) | {"logits": rows(logits)}


def image(model, seed):
    height, width = model.config.image_size
    rng = np.random.Generator(np.random.PCG64(seed))
    pixels = torch.from_numpy(rng.random((3, height, width, 3)).astype(np.float32)).double()
    scaled = (pixels - torch.tensor(MEAN, dtype=torch.float64)) / torch.tensor(STD, dtype=torch.float64)
    output = model(pixel_values=scaled.permute(0, 3, 1, 2))
    return {"pixels": pixels, "logits": output.logits}


def recordings(model, seed):
    """One that is cut, one that is filled up, and one of the right length: as the feature
    extractor makes them, `frames` being what is left when it has not filled yet."""
    config = model.config
    rng = np.random.Generator(np.random.PCG64(seed))
    lengths = [config.max_length + 3, config.max_length - 5, config.max_length]
    frames = [rng.standard_normal((n, config.num_mel_bins)).astype(np.float32) for n in lengths]
    fill = -EXTRACTOR["mean"] / (2 * EXTRACTOR["std"]) if "For" in type(model).__name__ else FILL
    values = np.full((len(lengths), config.max_length, config.num_mel_bins), fill)
    for row, x in zip(values, frames):
        row[: len(x)] = x[: config.max_length]
    output = model(input_values=torch.from_numpy(values))
    ends = np.cumsum([0] + lengths).astype(np.uint32)
    found = {"frames": np.concatenate(frames), "cu_seqlens": ends}
    if "For" in type(model).__name__:
        # Half a clip of 16 bits, from samples on.
        samples = np.round(3000 * rng.standard_normal(1500)).astype(np.float32) / 2**15
        extractor = hf.ASTFeatureExtractor(**EXTRACTOR)
        heard = extractor(samples, sampling_rate=16000, return_tensors="pt")["input_values"]
        heard = model(input_values=heard.double()).logits
        return found | {"logits": output.logits, "samples": samples, "logits_of_samples": heard}
    return found | {"pooled": output.pooler_output}


def llama(seed=5, layers=1, **keys):
    config = TEXT | dict(num_key_value_heads=2, num_hidden_layers=layers, max_position_embeddings=64)
    return hf.LlamaForCausalLM, hf.LlamaConfig(**(config | keys)), lm, seed


def gpt2(**keys):
    return hf.GPT2Config(n_embd=16, n_layer=2, n_head=4, n_inner=24, vocab_size=VOCAB, n_positions=12,
                         bos_token_id=None, eos_token_id=None, **keys)


AST = SIZES | dict(patch_size=4, frequency_stride=3, time_stride=2, max_length=13, num_mel_bins=11)
ROBERTA = TEXT | dict(max_position_embeddings=14, type_vocab_size=1, layer_norm_eps=1e-5)
CASES = {
    "bert": lambda: (hf.BertModel, hf.BertConfig(**TEXT), encoder, 1),
    "bert-classifier": lambda: (
        hf.BertForSequenceClassification,
        hf.BertConfig(**TEXT, **LABELS, hidden_act="gelu_new", classifier_dropout=0.2), classifier, 2),
    "bert-masked-lm": lambda: (hf.BertForMaskedLM, hf.BertConfig(**TEXT), masked_lm, 3),
    "roberta": lambda: (hf.RobertaModel, hf.RobertaConfig(**ROBERTA), encoder, 4),
    "roberta-classifier": lambda: (
        hf.RobertaForSequenceClassification, hf.RobertaConfig(**ROBERTA, **LABELS), classifier, 5),
    "gpt2": lambda: (hf.GPT2LMHeadModel, gpt2(), lm, 6),
    "gpt2-body": lambda: (hf.GPT2Model, gpt2(), tied_body, 7),
    "llama": lambda: llama(8, 2, rope_theta=500.0),
    "llama-bias-tied": lambda: llama(9, attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
    "llama-linear": lambda: llama(10, rope_scaling=dict(rope_type="linear", factor=4.0)),
    "llama-yarn": lambda: llama(11, rope_scaling=dict(
        rope_type="yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=8.0, beta_slow=1.0)),
    "llama3": lambda: llama(12, rope_theta=500.0, rope_scaling=dict(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=8)),
    "vit": lambda: (
        hf.ViTForImageClassification,
        hf.ViTConfig(**SIZES, image_size=[8, 12], patch_size=4, num_channels=3, **LABELS), image, 13),
    "ast": lambda: (hf.ASTForAudioClassification, hf.ASTConfig(**AST, **LABELS), recordings, 14),
    "ast-body": lambda: (hf.ASTModel, hf.ASTConfig(**AST), recordings, 15),
}
PREPROCESSOR = {
    "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": MEAN,
    "image_processor_type": "ViTImageProcessor", "image_std": STD, "resample": 2,
    "rescale_factor": 1 / 255, "size": {"height": 8, "width": 12},
}
EXTRACTOR = {
    "do_normalize": True, "feature_extractor_type": "ASTFeatureExtractor", "feature_size": 1,
    "max_length": 13, "mean": -2.5, "num_mel_bins": 11, "padding_side": "right",
    "padding_value": 0.0, "return_attention_mask": False, "sampling_rate": 16000, "std": 1.5,
}
PREPROCESSORS = {"vit": PREPROCESSOR, "ast": EXTRACTOR}
# What AudioSet's mean and deviation make of 0, where a folder has no file that says others.
FILL = 4.2677393 / (2 * 4.5689974)


def as_numpy(values):
    def one(x):
        if isinstance(x, torch.Tensor):
            return x.detach().numpy().astype(np.float32)
        return x
    return {name: np.ascontiguousarray(one(x)) for name, x in values.items()}


def expected(model, compute, seed):
    model = model.double().eval()
    with torch.no_grad():
        return as_numpy(compute(model, 100 + seed))


def make(name, folder):
    folder.mkdir(parents=True, exist_ok=True)
    cls, config, compute, seed = CASES[name]()
    config._attn_implementation = "eager"
    model = cls(config)
    draw(model, seed)
    with tempfile.TemporaryDirectory() as saved:
        model.save_pretrained(saved)
        config = json.loads((Path(saved) / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
        save_file(load_file(Path(saved) / "model.safetensors"), folder / "model.safetensors",
                  metadata={"format": "pt"})
    save_file(expected(model, compute, seed), folder / "golden.safetensors")
    if name in PREPROCESSORS:
        text = json.dumps(PREPROCESSORS[name], indent=1, sort_keys=True) + "\n"
        (folder / "preprocessor_config.json").write_text(text)


def farthest(got, want):
    return max(
        (float(np.max(np.abs(got[key].astype(np.float64) - want[key]) / np.maximum(1, np.abs(want[key]))))
         if got[key].shape == want[key].shape else np.inf)
        for key in want
    )


def check():
    for name in CASES:
        with tempfile.TemporaryDirectory() as folder:
            make(name, Path(folder))
            for file in ("model.safetensors", "golden.safetensors"):
                got, want = load_file(Path(folder) / file), load_file(GOLDEN / name / file)
                error = farthest(got, want) if got.keys() == want.keys() else np.inf
                print(f"{name}/{file}: {error:.1e}")
                if not error <= TOLERANCE:
                    sys.exit(f"{name}/{file} is not what this script computes")


def read(root):
    """Whether transformers makes of our files what it made of its own."""
    for folder in sorted(Path(root).iterdir()):
        cls, _, compute, seed = CASES[folder.name]()
        cls = {hf.BertForMaskedLM: hf.BertModel, hf.GPT2Model: hf.GPT2LMHeadModel}.get(cls, cls)
        compute = {masked_lm: encoder, tied_body: lm}.get(compute, compute)
        model, report = cls.from_pretrained(folder, output_loading_info=True)
        want = load_file(GOLDEN / folder.name / "golden.safetensors")
        got = expected(model, compute, seed)
        # A pooler that we do not have is drawn anew, and is not compared.
        missing = [key for key in report["missing_keys"] if not key.startswith("pooler.")]
        if missing:
            want = {key: x for key, x in want.items() if key != "pooled"}
        if report["missing_keys"]:
            want.pop("pooled", None)
        error = farthest(got, want)
        print(f"{folder.name}: {error:.1e}, missing {sorted(report['missing_keys'])}, "
              f"unexpected {sorted(report['unexpected_keys'])}")
        if missing or report["unexpected_keys"] or not error <= TOLERANCE_OF_READ:
            sys.exit(f"{folder.name} is another model to transformers")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--read", metavar="DIR")
    args = parser.parse_args()
    if hf.__version__ != VERSION:
        sys.exit(f"transformers {hf.__version__}; use {VERSION}")
    if args.read:
        read(args.read)
    elif args.check:
        check()
    else:
        for name in CASES:
            make(name, GOLDEN / name)


if __name__ == "__main__":
    main()
