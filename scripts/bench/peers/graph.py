#!/usr/bin/env python3
"""A classifier of nodes on PyTorch Geometric, whose nodes attend along edges."""

from __future__ import annotations

import argparse

import torch
from shared import FirstStep, Refused, arguments, blocks, cross_entropy, run, train
from torch import Tensor, nn
from torch_geometric.nn import TransformerConv

PROJECTIONS = {"attn.wq.": "lin_query", "attn.wk.": "lin_key", "attn.wv.": "lin_value"}


class EdgeAttention(nn.Module):
    """Attention of a node to the sources of its edges, one matrix out."""

    def __init__(self, model: dict, edges: Tensor):
        super().__init__()
        d_model, heads = model["d_model"], model["n_heads"]
        self.edges = edges
        self.conv = TransformerConv(d_model, d_model // heads, heads=heads, root_weight=False)
        # Without a root weight this map is there, but nothing reads it.
        del self.conv.lin_skip
        self.wo = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor) -> Tensor:
        return self.wo(self.conv(x, self.edges))


class NodeClassifier(nn.Module):
    """A map of nodes, blocks, norm, a head."""

    def __init__(self, first: FirstStep):
        super().__init__()
        model, batch = first.model, first.batch
        d_model = model["d_model"]
        self.nodes, self.targets = batch["inputs"], batch["targets"]
        edges = torch.stack([batch["source"], batch["destination"]])
        self.embed = nn.Linear(self.nodes.shape[1], d_model)
        self.blocks = blocks(model, lambda: EdgeAttention(model, edges))
        self.norm = nn.LayerNorm(d_model, eps=model["norm_eps"])
        self.head = nn.Linear(d_model, model["n_classes"])

    def forward(self) -> Tensor:
        x = self.embed(self.nodes)
        for block in self.blocks:
            x = block(x)
        return cross_entropy(self.head(self.norm(x)), self.targets)


def adapted(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights under the names of `TransformerConv`."""

    def renamed(name: str) -> str:
        for ours, theirs in PROJECTIONS.items():
            name = name.replace(ours, f"attn.conv.{theirs}.")
        return name

    return {renamed(name): value for name, value in weights.items()}


def measure(first: FirstStep, args: argparse.Namespace) -> str:
    first.expect(kind="graph-nodes", mask="edges", position="none")
    graph = first.model["graph"]
    if graph["global"] or graph["balanced"] or graph["n_edge_features"] or graph["n_structure"]:
        raise Refused("the peer has plain edges and nodes only, and classes of equal weight")
    return train(NodeClassifier(first), adapted(first.weights), first, args)


if __name__ == "__main__":
    run(arguments(__doc__), measure)
