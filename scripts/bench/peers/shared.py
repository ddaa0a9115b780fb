"""What the PyTorch peers share: the file of a first step, a block, and the timed loop.

A peer is a module whose `forward` returns the loss of the batch it was made with. Its
parameters have the names that the file gives them, but for those that it renames or
joins in `adapt`; loading is strict, so no weight is left out or made up.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

IGNORED = 2**32 - 1  # a target that does not count
MODES = ("eager", "compile", "bf16")
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]  # of [batch, heads, length, head width]


class Refused(Exception):
    """Something that the peer cannot do, in one line."""


@dataclass(frozen=True)
class FirstStep:
    """What `train bench CONFIG --first-step FILE` wrote."""

    model: dict
    train: dict
    weights: dict[str, Tensor]
    batch: dict[str, Tensor]

    @staticmethod
    def read(path: Path) -> FirstStep:
        try:
            with safe_open(path, "pt") as file:
                config = json.loads(file.metadata()["config"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise Refused(f"{path}: is no file of `train bench --first-step`: {error}") from error
        tensors = {n: t.long() if t.dtype == torch.uint32 else t for n, t in tensors.items()}
        prefix = "batch."
        return FirstStep(
            model=config["model"],
            train=config["train"],
            weights={n: t for n, t in tensors.items() if not n.startswith(prefix)},
            batch={n[len(prefix) :]: t for n, t in tensors.items() if n.startswith(prefix)},
        )

    def on(self, device: str) -> FirstStep:
        """The same with its batch on `device`; weights go there with their module."""
        return replace(self, batch={n: t.to(device) for n, t in self.batch.items()})

    def expect(self, **wanted: object) -> None:
        """Refuses a model that differs from `wanted`, or from what `Block` can express."""
        plain = {
            "backbone": "transformer",
            "n_kv_heads": self.model["n_heads"],
            "dropout": 0.0,
            "attention_dropout": 0.0,
            "norm": "layer",
            "norm_placement": "pre",
            "activation": "gelu",
            "bias": True,
            "qk_norm": False,
        }
        for key, value in {**plain, **wanted}.items():
            if self.model.get(key) != value:
                found = self.model.get(key)
                raise Refused(f"the peer has model.{key} = {value!r} only, not {found!r}")

    def by_sample(self, rows: Tensor) -> Tensor:
        """Packed rows `[n, ..]` as `[batch, n / batch, ..]`, where all samples are as long."""
        ends = self.batch["cu_seqlens"]
        lengths = set((ends[1:] - ends[:-1]).tolist())
        if len(lengths) != 1:
            raise Refused("the peer takes samples of one length only")
        return rows.reshape(len(ends) - 1, lengths.pop(), *rows.shape[1:])


class SelfAttention(nn.Module):
    """Queries, keys and values by one matrix, any kind of attention, one matrix out."""

    def __init__(self, model: dict, attend: Attend):
        super().__init__()
        d_model = model["d_model"]
        self.n_heads = model["n_heads"]
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.wo = nn.Linear(d_model, d_model)
        self.attend = attend

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`[batch, length, d_model]` to three of `[batch, heads, length, head width]`."""
        batch, length, d_model = x.shape
        parts = self.qkv(x).view(batch, length, 3, self.n_heads, d_model // self.n_heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        return q, k, v

    def merge(self, y: Tensor) -> Tensor:
        return self.wo(y.transpose(1, 2).flatten(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.merge(self.attend(*self.split(x)))


class Block(nn.Module):
    """A pre-norm block: attention, then the feed-forward layer."""

    def __init__(self, model: dict, attn: nn.Module):
        super().__init__()
        d_model, d_ff, eps = model["d_model"], model["d_ff"], model["norm_eps"]
        self.attn_norm = nn.LayerNorm(d_model, eps=eps)
        self.attn = attn
        self.mlp_norm = nn.LayerNorm(d_model, eps=eps)
        self.mlp = nn.ModuleDict({"up": nn.Linear(d_model, d_ff), "down": nn.Linear(d_ff, d_model)})

    def feed_forward(self, x: Tensor) -> Tensor:
        inner = F.gelu(self.mlp["up"](self.mlp_norm(x)), approximate="tanh")
        return x + self.mlp["down"](inner)

    def forward(self, x: Tensor) -> Tensor:
        return self.feed_forward(x + self.attn(self.attn_norm(x)))


def blocks(model: dict, attn: Callable[[], nn.Module]) -> nn.ModuleList:
    """As many blocks as `model` has, each with an attention layer of its own."""
    return nn.ModuleList(Block(model, attn()) for _ in range(model["n_layers"]))


def joined_projections(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights with `wq`, `wk` and `wv` as the one matrix `qkv`."""
    joined = {}
    for name, value in weights.items():
        if ".wq." in name:
            parts = (weights[name.replace(".wq.", f".{part}.")] for part in ("wq", "wk", "wv"))
            joined[name.replace(".wq.", ".qkv.")] = torch.cat(list(parts))
        elif ".wk." not in name and ".wv." not in name:
            joined[name] = value
    return joined


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits, targets, ignore_index=IGNORED)


@dataclass(frozen=True)
class Timed:
    """How long each repetition took, in seconds, and what the first one gave."""

    times: list[float]
    first_loss: float


def time_steps(module: nn.Module, first: FirstStep, mode: str, warmup: int, steps: int) -> Timed:
    """Times training steps on the one batch: forward, backward, clip, AdamW."""
    settings = first.train
    if settings["optimizer"] != "adamw":
        raise Refused(f"the peer trains with adamw only, not {settings['optimizer']}")
    device = next(module.parameters()).device.type
    optimizer = torch.optim.AdamW(
        module.parameters(),
        lr=settings["lr"],
        betas=(settings["beta1"], settings["beta2"]),
        eps=settings["eps"],
        weight_decay=settings["weight_decay"],
        fused=True,
    )
    forward = torch.compile(module) if mode == "compile" else module
    max_norm = settings.get("grad_clip") or None

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        with precision(mode, device):
            loss = forward()
        loss.backward()
        if max_norm is not None:
            nn.utils.clip_grad_norm_(module.parameters(), max_norm)
        optimizer.step()
        return loss.item()

    return repeat(step, warmup, steps)


def repeat(step: Callable[[], float], warmup: int, steps: int) -> Timed:
    losses, times = [], []
    for _ in range(warmup + steps):
        start = time.perf_counter()
        losses.append(step())
        times.append(time.perf_counter() - start)
    return Timed(times[warmup:], losses[0])


def precision(mode: str, device: str) -> contextlib.AbstractContextManager:
    """Where matrix products take bfloat16, if `mode` says so."""
    if mode == "bf16":
        return torch.autocast(device, torch.bfloat16)
    return contextlib.nullcontext()


def peak_rss_mb() -> float:
    """Largest resident memory of this process, in 2^20 bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def report(timed: Timed, **more: object) -> str:
    """One line of JSON, with the names that `train bench` has."""
    milliseconds = [1e3 * seconds for seconds in timed.times]
    return json.dumps(
        {
            "median_ms": statistics.median(milliseconds),
            "min_ms": min(milliseconds),
            "max_ms": max(milliseconds),
            "steps": len(milliseconds),
            "first_loss": timed.first_loss,
            "peak_rss_mb": peak_rss_mb(),
            "threads": torch.get_num_threads(),
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            **more,
        }
    )


class OneLineParser(argparse.ArgumentParser):
    """Says in one line what is wrong, and ends with 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\n")


def arguments(description: str, variants: tuple[str, ...] = ()) -> argparse.ArgumentParser:
    """The options of every peer, and `--variant` where there are several."""

    def at_least(least: int) -> Callable[[str], int]:
        def number(text: str) -> int:
            if (value := int(text)) < least:
                raise argparse.ArgumentTypeError(f"{value} is below {least}")
            return value

        return number

    parser = OneLineParser(description=description)
    parser.add_argument("file", type=Path, help="what `train bench CONFIG --first-step` wrote")
    parser.add_argument("--mode", choices=MODES, default="eager")
    parser.add_argument("--warmup", type=at_least(0), default=2, help="steps that are not timed")
    parser.add_argument("--steps", type=at_least(1), default=10, help="steps that are timed")
    parser.add_argument("--threads", type=at_least(1), help="threads of PyTorch")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    if variants:
        parser.add_argument("--variant", choices=variants, default=variants[0])
    return parser


def run(
    parser: argparse.ArgumentParser,
    measure: Callable[[FirstStep, argparse.Namespace], str],
) -> None:
    """Reads the command line and the file, and prints what `measure` makes of them."""
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    try:
        print(measure(FirstStep.read(args.file).on(args.device), args))
    except Refused as refused:
        print(f"error: {refused}", file=sys.stderr)
        sys.exit(2)


def train(
    module: nn.Module, state: dict[str, Tensor], first: FirstStep, args: argparse.Namespace
) -> str:
    """Loads `state`, all of it, and times training steps."""
    module.load_state_dict(state, strict=True)
    return report(time_steps(module.to(args.device), first, args.mode, args.warmup, args.steps))
