"""What the checks of parity share: the table of results, our binary, fresh models."""

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import torch

import make_golden as golden

ROOT = Path(__file__).resolve().parents[2]


class Table:
    """What was compared, of which model, the difference and the bound."""

    def __init__(self):
        self.rows = []

    def add(self, what, model, difference, bound):
        difference = float(difference)
        self.rows.append((what, model, difference, bound))
        word = "" if difference <= bound else "  MISSED"
        print(f"{model}: {what}: {difference:.1e}, bound {bound:.0e}{word}", file=sys.stderr)

    def failed(self, what, model, why, bound):
        print(f"{model}: {what}: {why}", file=sys.stderr)
        self.add(what, model, np.inf, bound)

    def missed(self):
        return [row for row in self.rows if not row[2] <= row[3]]

    def print(self):
        """A row for each thing compared, over all models; each model that misses has its own."""
        print("| what was compared | models | largest difference | bound |")
        print("| --- | --- | --- | --- |")
        missed = self.missed()
        rows = {}
        for what, model, difference, bound in self.rows:
            if (what, model, difference, bound) not in missed:
                rows.setdefault((what, bound), []).append((model, difference))
        for (what, bound), found in rows.items():
            models = ", ".join(dict.fromkeys(model for model, _ in found))
            largest = max(difference for _, difference in found)
            print(f"| {what} | {models} | {largest:.1e} | {bound:.0e} |")
        for what, model, difference, bound in missed:
            print(f"| {what} | {model} | {difference:.1e}, **missed** | {bound:.0e} |")


class Train:
    """Our binary."""

    def __init__(self, path):
        self.path = Path(path).resolve()

    def __call__(self, *arguments, cwd, stdin=None):
        """Its standard output; what it says of an error ends the program."""
        command = [str(self.path), *map(str, arguments)]
        done = subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command[1:])}: {done.stderr.strip()}")
        return done.stdout

    def lines(self, *arguments, **keys):
        return [json.loads(line) for line in self(*arguments, **keys).splitlines()]


def shift_seeds(by):
    """Makes the models of make_golden others."""
    for name, case in list(golden.CASES.items()):
        def shifted(case=case):
            cls, config, compute, seed = case()
            return cls, config, compute, seed + by
        golden.CASES[name] = shifted


def write_tokenizer(folder, size):
    """Tokens `w0`, `w1`, …, between spaces; nothing is added to a text."""
    vocab = {f"w{i}": i for i in range(size)}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
        "normalizer": None, "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "w0"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def words(ids):
    return " ".join(f"w{int(i)}" for i in ids)


def write_png(path, pixels):
    """`pixels`: `[height, width, 3]` of bytes."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + pixels[y].tobytes() for y in range(height))

    def chunk(kind, data):
        crc = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + crc

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size + bytes([8, 2, 0, 0, 0]))
                     + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def scaled(pixels):
    """What transformers is given of `[n, height, width, 3]` bytes, in f64."""
    x = torch.from_numpy(pixels).double() / 255
    x = (x - torch.tensor(golden.MEAN).double()) / torch.tensor(golden.STD).double()
    return x.permute(0, 3, 1, 2)


def no_dropout(config):
    for key in vars(config):
        if "dropout" in key or "pdrop" in key:
            if isinstance(getattr(config, key), float):
                setattr(config, key, 0.0)
    return config


def made(name, folder, **keys):
    """A model of make_golden without dropout, saved in `folder`, in f64."""
    cls, config, _, seed = golden.CASES[name]()
    for key, value in keys.items():
        setattr(config, key, value)
    config = no_dropout(config)
    config._attn_implementation = "eager"
    model = cls(config)
    golden.draw(model, seed)
    model.save_pretrained(folder)
    if name in golden.PREPROCESSORS:
        text = json.dumps(golden.PREPROCESSORS[name])
        (folder / "preprocessor_config.json").write_text(text)
    else:
        write_tokenizer(folder, golden.VOCAB)
    return model.double().eval()


def quiet():
    os.environ["TQDM_DISABLE"] = "1"
    golden.hf.logging.set_verbosity_error()
    golden.hf.logging.disable_progress_bar()
