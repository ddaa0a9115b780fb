#!/usr/bin/env python3
"""A causal language model in plain PyTorch: training steps, or writing with a KV cache."""

from __future__ import annotations

import argparse
import statistics
from functools import partial

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
    repeat,
    report,
    run,
    train,
)
from torch import Tensor, nn

causal = partial(F.scaled_dot_product_attention, is_causal=True)


class Gpt(nn.Module):
    """Token and position tables, blocks, norm, and a head of its own or the token table."""

    def __init__(self, model: dict):
        super().__init__()
        d_model, vocab_size = model["d_model"], model["vocab_size"]
        self.embed = nn.Embedding(vocab_size, d_model)
        self.position = nn.Embedding(model["max_seq_len"], d_model)
        self.blocks = blocks(model, lambda: SelfAttention(model, causal))
        self.norm = nn.LayerNorm(d_model, eps=model["norm_eps"])
        self.head = nn.Linear(d_model, vocab_size, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens) + self.position.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))

    def decode(self, token: Tensor, place: int, cache: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Scores behind `token`, `[1, 1]`, at `place`; its keys and values go to the cache."""
        x = self.embed(token) + self.position.weight[place]
        for block, (keys, values) in zip(self.blocks, cache, strict=True):
            q, k, v = block.attn.split(block.attn_norm(x))
            keys[:, :, place : place + 1] = k
            values[:, :, place : place + 1] = v
            read = slice(None), slice(None), slice(place + 1)
            y = F.scaled_dot_product_attention(q, keys[read], values[read])
            x = block.feed_forward(x + block.attn.merge(y))
        return self.head(self.norm(x))[0, 0]


class Training(nn.Module):
    """The loss of one batch."""

    def __init__(self, gpt: Gpt, first: FirstStep):
        super().__init__()
        self.gpt = gpt
        self.tokens = first.by_sample(first.batch["inputs"])
        self.targets = first.batch["targets"]

    def forward(self) -> Tensor:
        return cross_entropy(self.gpt(self.tokens).flatten(0, 1), self.targets)


class Writer:
    """Writes the likeliest tokens behind the first one, with its keys and values cached."""

    def __init__(self, first: FirstStep, mode: str):
        model = first.model
        self.wanted = first.batch["targets"]
        if len(self.wanted) > model["max_seq_len"]:
            raise Refused(f"the peer writes {model['max_seq_len']} tokens at most")
        self.prompt = first.batch["inputs"].view(1, 1)
        self.gpt = Gpt(model)
        self.gpt.load_state_dict(joined_projections(first.weights), strict=True)
        if mode == "bf16":
            self.gpt.bfloat16()
        compiled = mode == "compile"
        self.decode = torch.compile(self.gpt.decode, dynamic=True) if compiled else self.gpt.decode
        heads = model["n_heads"]
        self.cache_shape = 1, heads, model["max_seq_len"], model["d_model"] // heads

    def write(self) -> tuple[list[int], list[Tensor]]:
        """The tokens, and the scores that each was chosen by."""
        empty = partial(self.gpt.head.weight.new_empty, self.cache_shape)
        cache = [(empty(), empty()) for _ in self.gpt.blocks]
        token, tokens, scores = self.prompt, [], []
        for place in range(len(self.wanted)):
            scores.append(self.decode(token, place, cache))
            token = scores[-1].argmax().view(1, 1)
            tokens.append(token.item())
        return tokens, scores


def write(first: FirstStep, args: argparse.Namespace) -> str:
    """Times the writing of as many tokens as the file has."""
    writer = Writer(first, args.mode)
    with torch.inference_mode():
        written, scores = writer.write()
        loss = F.cross_entropy(torch.stack(scores).float(), torch.tensor(written)).item()

        def again() -> float:
            writer.write()
            return loss

        timed = repeat(again, max(args.warmup - 1, 0), args.steps)
    n_tokens = len(written)
    same = int((torch.tensor(written) == writer.wanted).sum())
    rate = n_tokens / statistics.median(timed.times)
    return report(timed, n_tokens=n_tokens, same_tokens=same, tokens_per_s=rate)


def measure(first: FirstStep, args: argparse.Namespace) -> str:
    first.expect(kind="text-lm", mask="causal", position="learnt", tied=False)
    if args.generate:
        return write(first, args)
    training = Training(Gpt(first.model), first)
    state = {f"gpt.{name}": value for name, value in joined_projections(first.weights).items()}
    return train(training, state, first, args)


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--generate", action="store_true", help="write the text of the file")
    run(parser, measure)
