#!/usr/bin/env python3
"""A classifier of recordings in PyTorch, whose frames read a window on either side.

`sdpa` gives the window as a mask of all pairs; `local` takes the local-attention package,
which cuts the frames into windows and reads the one before and the one behind.
"""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F
from shared import (
    Attend,
    FirstStep,
    Refused,
    SelfAttention,
    arguments,
    blocks,
    cross_entropy,
    joined_projections,
    run,
    train,
)
from torch import Tensor, nn


def with_mask(length: int, window: int) -> Attend:
    places = torch.arange(length)
    mask = (places[None, :] - places[:, None]).abs() <= window

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    return attend


def in_windows(length: int, window: int, batch: int) -> Attend:
    from local_attention import LocalAttention

    layer = LocalAttention(
        window_size=window,
        causal=False,
        look_backward=1,
        look_forward=1,
        autopad=True,
        exact_windowsize=True,
        use_rotary_pos_emb=False,
    )
    # The last window is padded with keys that only a mask of keys hides.
    padded = length % window != 0
    mask = torch.ones(batch, length, dtype=torch.bool) if padded else None
    return lambda q, k, v: layer(q, k, v, mask=mask)


class Encoder(nn.Module):
    """A map of frames, blocks, norm, the mean over frames, a head."""

    def __init__(self, first: FirstStep, attend: Attend):
        super().__init__()
        model = first.model
        d_model = model["d_model"]
        self.frames = first.by_sample(first.batch["inputs"])
        self.targets = first.batch["targets"]
        self.embed = nn.Linear(self.frames.shape[-1], d_model)
        self.blocks = blocks(model, lambda: SelfAttention(model, attend))
        self.norm = nn.LayerNorm(d_model, eps=model["norm_eps"])
        self.head = nn.Linear(d_model, model["n_classes"])

    def forward(self) -> Tensor:
        x = self.embed(self.frames)
        for block in self.blocks:
            x = block(x)
        return cross_entropy(self.head(self.norm(x).mean(1)), self.targets)


def window_of(first: FirstStep) -> int:
    """How far a frame reads, the same to both sides."""
    mask = first.model["mask"]
    band = mask.get("band", {}) if isinstance(mask, dict) else {}
    if not band or band["left"] != band["right"]:
        raise Refused(f"the peer has bands of two equal sides only, not model.mask = {mask!r}")
    return band["left"]


def measure(first: FirstStep, args: argparse.Namespace) -> str:
    first.expect(kind="speech-classifier", position="none", pooling="mean")
    speech = first.model["speech"]
    if (speech["front"], speech["window"], speech["stride"]) != ("windows", 1, 1):
        raise Refused("the peer maps single frames only; leave out speech.window and speech.stride")
    window = window_of(first)
    batch, length = first.by_sample(first.batch["inputs"]).shape[:2]
    local = args.variant == "local"
    attend = in_windows(length, window, batch) if local else with_mask(length, window)
    return train(Encoder(first, attend), joined_projections(first.weights), first, args)


if __name__ == "__main__":
    run(arguments(__doc__, variants=("sdpa", "local")), measure)
