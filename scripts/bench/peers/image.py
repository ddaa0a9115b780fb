#!/usr/bin/env python3
"""A vision transformer in plain PyTorch, with a class token and learnt positions."""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F
from shared import (
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


class VisionTransformer(nn.Module):
    """Patches by a convolution, class token, positions, blocks, norm, a head."""

    def __init__(self, first: FirstStep):
        super().__init__()
        model, patch = first.model, first.model["image"]["patch"]
        d_model = model["d_model"]
        self.images = first.batch["inputs"].permute(0, 3, 1, 2).contiguous()
        self.targets = first.batch["targets"]
        self.embed = nn.Conv2d(self.images.shape[1], d_model, patch, patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, d_model))
        self.position = nn.Parameter(torch.zeros(1, model["max_seq_len"], d_model))
        attend = F.scaled_dot_product_attention
        self.blocks = blocks(model, lambda: SelfAttention(model, attend))
        self.norm = nn.LayerNorm(d_model, eps=model["norm_eps"])
        self.head = nn.Linear(d_model, model["n_classes"])

    def forward(self) -> Tensor:
        patches = self.embed(self.images).flatten(2).transpose(1, 2)
        token = self.class_token.expand(len(patches), -1, -1)
        x = torch.cat([token, patches], 1) + self.position
        for block in self.blocks:
            x = block(x)
        return cross_entropy(self.head(self.norm(x[:, 0])), self.targets)


def adapted(first: FirstStep) -> dict[str, Tensor]:
    """The weights under this module's names, the map of patches as a convolution."""
    state = joined_projections(first.weights)
    image = first.model["image"]
    patch, channels = image["patch"], image["channels"]
    kernel = state["embed.weight"].view(-1, patch, patch, channels)
    state["embed.weight"] = kernel.permute(0, 3, 1, 2).contiguous()
    state["class_token"] = state.pop("class_token.weight")[None]
    state["position"] = state.pop("position.weight")[None]
    return state


def measure(first: FirstStep, args: argparse.Namespace) -> str:
    first.expect(kind="image-classifier", mask="full", position="learnt", pooling="first")
    image = first.model["image"]
    if not image["class_token"] or any(key in image for key in ("mean", "std", "window")):
        raise Refused("the peer has a class token, and no image.mean, image.std or image.window")
    return train(VisionTransformer(first), adapted(first), first, args)


if __name__ == "__main__":
    run(arguments(__doc__), measure)
