#!/usr/bin/env python3
"""A classifier of texts by BERT, as transformers has it."""

from __future__ import annotations

import argparse
import os
import re

from shared import FirstStep, arguments, cross_entropy, run, train
from torch import Tensor, nn

os.environ.setdefault("HF_HUB_OFFLINE", "1")
from transformers import BertConfig, BertForSequenceClassification  # noqa: E402

# Our names, and theirs.
NAMES = (
    (r"^embed\.", "bert.embeddings.word_embeddings."),
    (r"^position\.", "bert.embeddings.position_embeddings."),
    (r"^token_type\.", "bert.embeddings.token_type_embeddings."),
    (r"^embed_norm\.", "bert.embeddings.LayerNorm."),
    (r"^blocks\.(\d+)\.attn\.wq\.", r"bert.encoder.layer.\1.attention.self.query."),
    (r"^blocks\.(\d+)\.attn\.wk\.", r"bert.encoder.layer.\1.attention.self.key."),
    (r"^blocks\.(\d+)\.attn\.wv\.", r"bert.encoder.layer.\1.attention.self.value."),
    (r"^blocks\.(\d+)\.attn\.wo\.", r"bert.encoder.layer.\1.attention.output.dense."),
    (r"^blocks\.(\d+)\.attn_norm\.", r"bert.encoder.layer.\1.attention.output.LayerNorm."),
    (r"^blocks\.(\d+)\.mlp\.up\.", r"bert.encoder.layer.\1.intermediate.dense."),
    (r"^blocks\.(\d+)\.mlp\.down\.", r"bert.encoder.layer.\1.output.dense."),
    (r"^blocks\.(\d+)\.mlp_norm\.", r"bert.encoder.layer.\1.output.LayerNorm."),
    (r"^pooler\.", "bert.pooler.dense."),
    (r"^head\.", "classifier."),
)


class Classifier(nn.Module):
    """The loss of one batch."""

    def __init__(self, first: FirstStep):
        super().__init__()
        model = first.model
        config = BertConfig(
            vocab_size=model["vocab_size"],
            hidden_size=model["d_model"],
            num_hidden_layers=model["n_layers"],
            num_attention_heads=model["n_heads"],
            intermediate_size=model["d_ff"],
            hidden_act="gelu",
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            max_position_embeddings=model["max_seq_len"],
            type_vocab_size=model["token_types"],
            layer_norm_eps=model["norm_eps"],
            num_labels=model["n_classes"],
            attn_implementation="sdpa",
        )
        self.model = BertForSequenceClassification(config)
        self.tokens = first.by_sample(first.batch["inputs"])
        self.targets = first.batch["targets"]

    def forward(self) -> Tensor:
        return cross_entropy(self.model(input_ids=self.tokens).logits, self.targets)


def adapted(first: FirstStep) -> dict[str, Tensor]:
    """The weights under the names of transformers."""
    state = {}
    for name, value in first.weights.items():
        for ours, theirs in NAMES:
            name = re.sub(ours, theirs, name)
        state[f"model.{name}"] = value
    return state


def measure(first: FirstStep, args: argparse.Namespace) -> str:
    first.expect(
        kind="text-classifier", mask="full", position="learnt", norm_placement="post",
        activation="gelu_erf", embed_norm=True, pooling="first", pooler=True,
    )  # fmt: skip
    return train(Classifier(first), adapted(first), first, args)


if __name__ == "__main__":
    run(arguments(__doc__), measure)
