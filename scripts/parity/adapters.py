"""Check d: our adapters, put beside the base by PEFT."""

import numpy as np
import torch
from peft import PeftModel

import make_golden as golden
from harness import made
from step import classes, images, language

BOUND = 1e-5

CONFIG = """
[run]
name = "adapters"
seed = {seed}
[init]
from = "base"
head = "{head}"
lora = {{ rank = 2, alpha = 6, targets = {targets} }}
[data]
path = "{path}"
val_fraction = 0
{data}
[model]
kind = "{kind}"
[train]
steps = 20
batch_size = {batch_size}
lr = 1e-1
[eval]
every = 20
"""


def check(table, train, root, seed):
    attention = '["*.wq", "*.wv"]'
    for name, head, targets, data in [
        ("bert-classifier", "keep", attention, classes),
        ("bert-classifier", "new", attention, classes),
        ("roberta-classifier", "keep", '["*.wq", "*.up"]', classes),
        ("roberta-classifier", "new", '["*.wq", "*.up"]', classes),
        ("gpt2", "keep", attention, language),
        ("gpt2", "keep", '["*.wq", "*.wk", "*.wv", "*.wo", "*.up", "*.down"]', language),
        ("llama", "keep", attention, language),
        ("llama", "keep", '["*.gate", "*.down", "*.wo"]', language),
        ("vit", "keep", '["*.wq", "*.wo", "*.up"]', images),
        ("vit", "new", attention, images),
    ]:
        modules = targets.strip("[]").replace('"', "").replace("*.", "").replace(",", "")
        what = "adapters put beside their base by PEFT, and `export --merge`: logits"
        model = f"{name} ({modules}{', new head' if head == 'new' else ''})"
        folder = root / "adapters" / f"{name}{len(list(root.glob('adapters/*')))}"
        folder.mkdir(parents=True)
        try:
            table.add(what, model, one(train, folder, name, head, targets, data, seed), BOUND)
        except (RuntimeError, ValueError, KeyError, OSError) as error:
            table.failed(what, model, error, BOUND)


def one(train, folder, name, head, targets, data, seed):
    base = made(name, folder / "base")
    rng = np.random.Generator(np.random.PCG64(seed))
    keys, _ = data(folder, base, rng)
    config = CONFIG.format(seed=seed, head=head, targets=targets, **keys)
    (folder / "run.toml").write_text(config)
    train("fit", "run.toml", "--out", "run", "--quiet", cwd=folder)
    train("export", "run", "--out", "merged", "--merge", "--format", "hf", cwd=folder)
    merged, report = type(base).from_pretrained(
        folder / "merged", output_loading_info=True, attn_implementation="eager")
    if report["missing_keys"] or report["unexpected_keys"]:
        raise ValueError(f"merged: {report}")
    merged = merged.double().eval()
    beside = type(base).from_pretrained(folder / "base", attn_implementation="eager")
    beside = PeftModel.from_pretrained(beside, folder / "run/model").double().eval()
    if data is images:
        shape = base.config.num_channels, *base.config.image_size
        inputs = [{"pixel_values": torch.from_numpy(rng.standard_normal((4, *shape)))}]
    else:
        inputs = [{"input_ids": x} for x in golden.texts(seed)]
    with torch.no_grad():
        answers = [[m(**x).logits for x in inputs] for m in (base, beside, merged)]
    far = [max(float((a - b).abs().max()) for a, b in zip(answers[i], answers[2])) for i in (0, 1)]
    # Adapters that change nothing would say nothing.
    if far[0] < 0.01:
        raise ValueError(f"the adapters hardly change the model: {far[0]:.1e}")
    return far[1]

