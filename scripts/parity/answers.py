"""Check a: what fresh models of every class answer, and what transformers reads of them."""

import os
import re
import subprocess
import sys

import numpy as np
import torch
from safetensors.numpy import load_file

import make_golden as golden
from harness import ROOT, scaled, words, write_png, write_tokenizer

BOUND = 1e-4
BOUND_OF_READ = 1e-4
COMPUTED_ON_TEXT = (golden.encoder, golden.masked_lm, golden.classifier, golden.lm, golden.tied_body)


def check(table, train, root, cargo):
    fresh, exported = root / "fresh", root / "exported"
    exported.mkdir()
    for name in golden.CASES:
        folder = fresh / name
        golden.make(name, folder)
        if golden.CASES[name]()[2] in COMPUTED_ON_TEXT:
            write_tokenizer(folder, golden.VOCAB)
    if cargo:
        by_the_library(table, fresh)
    for name in golden.CASES:
        by_the_binary(table, train, fresh / name, name)
    for name in golden.CASES:
        back(table, train, fresh / name, exported / name, name)


def by_the_library(table, fresh):
    """The test of `interop` on the fresh models: the logits of language models have no other
    way out."""
    command = ["cargo", "test", "-q", "-p", "train", "-p", "data", "-p", "interop", "--test",
               "golden", "--", "--nocapture", "--test-threads", "1"]
    environment = os.environ | {"INTEROP_GOLDEN": str(fresh)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    found = re.findall(r"([a-z0-9-]+) (logits|mean|pooled) (\S+)$", done.stdout, re.M)
    for name, what, difference in found:
        table.add(f"{what}, by the test of `interop`", name, float(difference), BOUND)
    compared = {name for name, _, _ in found}
    for name in golden.CASES.keys() - compared:
        table.failed("answers, by the test of `interop`", name, "nothing was compared", BOUND)
    if done.returncode != 0:
        table.failed("the test of `interop`", "all", done.stdout[-2000:] + done.stderr[-2000:], 0)


def by_the_binary(table, train, folder, name):
    cls, _, compute, seed = golden.CASES[name]()
    model = cls.from_pretrained(folder, attn_implementation="eager").double().eval()
    texts = [x[0] for x in golden.texts(100 + seed) if x.shape[1] > 1]
    stdin = "\n".join(words(x) for x in texts) + "\n"
    with torch.no_grad():
        if compute in (golden.encoder, golden.masked_lm):
            body = getattr(model, model.base_model_prefix, model)
            want = [body(input_ids=x[None]).last_hidden_state[0].mean(0) for x in texts]
            got = train.lines("embed", folder, "--no-normalize", cwd=folder, stdin=stdin)
            far = difference([x["vector"] for x in got], want)
            table.add("mean of the rows, `train embed`", name, far, BOUND)
        elif compute is golden.classifier:
            want = [model(input_ids=x[None]).logits[0].softmax(-1) for x in texts]
            got = train.lines("predict", folder, cwd=folder, stdin=stdin)
            far = difference([list(x["probabilities"].values()) for x in got], want)
            table.add("probabilities, `train predict`", name, far, BOUND)
        elif compute in (golden.lm, golden.tied_body):
            def loss(x):
                output = model(input_ids=x[None])
                logits = getattr(output, "logits", None)
                if logits is None:
                    logits = output.last_hidden_state @ model.get_input_embeddings().weight.T
                return torch.nn.functional.cross_entropy(logits[0, :-1], x[1:])
            want = [loss(x) for x in texts]
            got = train.lines("predict", folder, cwd=folder, stdin=stdin)
            far = difference([x["loss"] for x in got], want)
            table.add("loss a token, `train predict`", name, far, BOUND)
        elif compute is golden.image:
            rng = np.random.Generator(np.random.PCG64(seed))
            pixels = rng.integers(0, 256, (5, *model.config.image_size, 3), dtype=np.uint8)
            files = [folder / f"{i}.png" for i in range(len(pixels))]
            for file, image in zip(files, pixels):
                write_png(file, image)
            want = list(model(pixel_values=scaled(pixels)).logits.softmax(-1))
            got = train.lines("predict", folder, *files, cwd=folder)
            far = difference([list(x["probabilities"].values()) for x in got], want)
            table.add("probabilities, `train predict`", name, far, BOUND)


def back(table, train, fresh, folder, name):
    """Our export of a model, read by transformers."""
    what = "answers of `train export --format hf`, read by transformers"
    cls, _, compute, seed = golden.CASES[name]()
    read_as = {golden.hf.BertForMaskedLM: golden.hf.BertModel,
               golden.hf.GPT2Model: golden.hf.GPT2LMHeadModel}.get(cls, cls)
    compute = {golden.masked_lm: golden.encoder, golden.tied_body: golden.lm}.get(compute, compute)
    try:
        train("export", fresh, "--out", folder, "--format", "hf", cwd=fresh)
        model, report = read_as.from_pretrained(
            folder, output_loading_info=True, attn_implementation="eager")
    except (RuntimeError, OSError, ValueError) as error:
        if "saved without its head" in str(error):
            # A body alone is no classifier, and is not written as one.
            return print(f"{name}: {what}: not written", file=sys.stderr)
        return table.failed(what, name, error, BOUND_OF_READ)
    want = load_file(fresh / "golden.safetensors")
    got = golden.expected(model, compute, seed)
    # A masked language model has no pooler; transformers draws one for its encoder.
    drawn = ("pooler.",) if cls is golden.hf.BertForMaskedLM else ()
    missing = [key for key in report["missing_keys"] if not key.startswith(drawn)]
    if report["missing_keys"]:
        want.pop("pooled", None)
    if missing or report["unexpected_keys"]:
        why = f"missing {missing}, unexpected {report['unexpected_keys']}"
        return table.failed(what, name, why, BOUND_OF_READ)
    table.add(what, name, golden.farthest(got, want), BOUND_OF_READ)


def difference(got, want):
    assert len(got) == len(want), (len(got), len(want))
    return max(float(np.max(np.abs(np.asarray(a) - b.numpy()))) for a, b in zip(got, want))
