"""Check c: one step of plain gradient descent with lr = 1 from the same weights, whose
gradient is what the weights lost."""

import json
import sys

import numpy as np
import torch
from safetensors.numpy import load_file
from torch.nn.functional import cross_entropy

import make_golden as golden
from harness import made, scaled, words, write_png

BOUND = 1e-3
GRADIENTS = "gradients of that step, relative to the largest of each tensor"

CONFIG = """
[run]
name = "step"
seed = {seed}
[init]
from = "base"
[data]
path = "{path}"
val_fraction = 0
{data}
[model]
kind = "{kind}"
[train]
steps = 1
batch_size = {batch_size}
optimizer = "sgd"
momentum = 0
lr = 1
schedule = "constant"
warmup_steps = 0
weight_decay = 0
grad_clip = 0
log_every = 1
[eval]
every = 1
"""


def check(table, train, root, seed):
    for name, data in [("bert-classifier", classes), ("roberta-classifier", classes),
                       ("gpt2", language), ("llama", language), ("llama-bias-tied", language),
                       ("vit", images)]:
        folder = root / "step" / name
        folder.mkdir(parents=True)
        try:
            one(table, train, folder, name, data, seed)
        except RuntimeError as error:
            table.failed("a training step", name, error, BOUND)


def one(table, train, folder, name, data, seed):
    model = made(name, folder / "base")
    rng = np.random.Generator(np.random.PCG64(seed))
    keys, loss = data(folder, model, rng)
    (folder / "step.toml").write_text(CONFIG.format(seed=seed, **keys))
    train("fit", "step.toml", "--out", "run", "--quiet", cwd=folder)
    train("export", "run", "--out", "after", "--format", "hf", cwd=folder)

    want = loss(model)
    want.backward()
    lines = (folder / "run/metrics.jsonl").read_text().splitlines()
    ours = next(x for x in map(json.loads, lines) if x["split"] == "train")
    far = abs(ours["loss"] - want.item()) / want.item()
    table.add("loss of a training step, relative", name, far, BOUND)

    before = load_file(folder / "base/model.safetensors")
    after = load_file(folder / "after/model.safetensors")
    # Names in files are not always those of modules.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0 if parameter.grad is None else parameter.grad)
    model.save_pretrained(folder / "gradients")
    theirs = load_file(folder / "gradients/model.safetensors")
    if before.keys() != after.keys() or not before.keys() <= theirs.keys():
        odd = (before.keys() ^ after.keys()) | (before.keys() - theirs.keys())
        return table.failed(GRADIENTS, name, f"not in both: {sorted(odd)}", BOUND)
    largest = max(np.abs(x).max() for x in theirs.values())
    farthest, where, vanishing = 0.0, "", 0
    for key, weight in before.items():
        got, want = weight.astype(np.float64) - after[key], theirs[key]
        size = np.abs(want).max()
        if size < 1e-6 * largest:
            # Zero but for rounding, as that of a key's bias: softmax does not see it.
            vanishing += 1
            assert np.abs(got).max() <= 1e-5 * largest, (key, np.abs(got).max())
            continue
        far = np.abs(got - want).max() / size
        if far >= farthest:
            farthest, where = far, key
    print(f"{name}: {len(before)} tensors, farthest is {where}; {vanishing} gradients are zero",
          file=sys.stderr)
    table.add(GRADIENTS, name, farthest, BOUND)


def classes(folder, model, rng):
    texts = [rng.integers(3, golden.VOCAB, n) for n in (3, 5, 8, 2, 12, 7)]
    # The first three are of other classes each, in the order of the model.
    labels = [0, 1, 2, 0, 1, 2]
    names = model.config.id2label
    lines = [f"{words(x)}\t{names[y]}\n" for x, y in zip(texts, labels)]
    (folder / "data.tsv").write_text("text\tlabel\n" + "".join(lines))
    keys = dict(path="data.tsv", data="seq_len = 12\ntokenizer = \"init\"", kind="text-classifier",
                batch_size=6)

    def loss(model):
        logits = [model(input_ids=torch.from_numpy(x)[None]).logits for x in texts]
        return cross_entropy(torch.cat(logits), torch.tensor(labels))
    return keys, loss


def language(folder, model, rng):
    """One window of text, so that there is no choice of windows."""
    ids = rng.integers(3, golden.VOCAB, 13)
    (folder / "data.txt").write_text(words(ids))
    keys = dict(path="data.txt", data="seq_len = 12\ntokenizer = \"init\"", kind="text-lm",
                batch_size=1)

    def loss(model):
        x = torch.from_numpy(ids)
        return cross_entropy(model(input_ids=x[None, :-1]).logits[0], x[1:])
    return keys, loss


def images(folder, model, rng):
    pixels = rng.integers(0, 256, (6, *model.config.image_size, 3), dtype=np.uint8)
    labels = [0, 1, 2, 0, 1, 2]
    for i, (image, label) in enumerate(zip(pixels, labels)):
        of_class = folder / "images" / model.config.id2label[label]
        of_class.mkdir(parents=True, exist_ok=True)
        write_png(of_class / f"{i}.png", image)
    keys = dict(path="images", data="", kind="image-classifier", batch_size=6)

    def loss(model):
        return cross_entropy(model(pixel_values=scaled(pixels)).logits, torch.tensor(labels))
    return keys, loss
