#!/usr/bin/env python3
"""Times steps of fine-tuning on real texts, ours and transformers' in turn.

    scripts/get-data.sh minilm reuters-r8
    cargo build --release
    python scripts/bench/finetune.py

all-MiniLM-L6-v2 on Reuters R8 as in configs/finetune/minilm-r8.toml: 32 texts a step, cut at
128 tokens, forward, backward, clipping, AdamW. transformers fills each batch up to its
longest text, drawn at random as its trainer does, and with --grouped from texts of like
length; ours leaves out what is filled up. Prints one line of JSON a pair, and the medians.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BATCH, LONGEST, WARMUP = 32, 128, 3
sys.path.insert(0, str(ROOT / "scripts/bench/peers"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, default=ROOT / "target/release/train")
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="with minilm and reuters-r8")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="steps that are timed")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--grouped", action="store_true", help="texts of like length together")
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        print(json.dumps(peer(args)))
        return
    pairs = []
    for _ in range(args.pairs):
        theirs = json.loads(subprocess.check_output([sys.executable, *sys.argv, "--peer"]))
        pairs.append({"ours": ours(args), "theirs": theirs})
        print(json.dumps(pairs[-1]), flush=True)
    for what in ("ms", "peak_mb"):
        of = {who: statistics.median(pair[who][what] for pair in pairs) for who in pairs[0]}
        ratios = [pair["theirs"][what] / pair["ours"][what] for pair in pairs]
        print(f"{what}: {of}, ratio {statistics.median(ratios):.2f} "
              f"({min(ratios):.2f} to {max(ratios):.2f})")


def ours(args: argparse.Namespace) -> dict:
    """Milliseconds of a step, from the log of a run that is stopped by its number of steps."""
    r8 = args.data / "reuters-r8"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        settings = {
            "init.from": args.data / "minilm", "data.path": r8 / "train.tab", "data.test": "",
            "data.val_fraction": 0, "train.epochs": "", "train.steps": WARMUP + args.steps,
            "train.log_every": 1, "train.warmup_steps": 1, "train.bucket": str(args.grouped).lower(),
        }  # fmt: skip
        command = [args.train, "fit", ROOT / "configs/finetune/minilm-r8.toml", "--out", out, "--quiet"]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        environment = os.environ | {"RAYON_NUM_THREADS": str(args.threads)}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            sys.exit(f"error: {args.train} fit: ended with {os.waitstatus_to_exitcode(status)}")
        lines = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
        times = [line["elapsed_s"] for line in lines if line["split"] == "train"]
    return {
        "ms": 1e3 * (times[-1] - times[WARMUP - 1]) / args.steps,
        "peak_mb": usage.ru_maxrss / 1024,
    }


def peer(args: argparse.Namespace) -> dict:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch
    from transformers import BertForSequenceClassification, PreTrainedTokenizerFast

    from shared import peak_rss_mb

    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    lines = (args.data / "reuters-r8/train.tab").read_text().splitlines()[3:]
    rows = [line.split("\t") for line in lines if line.count("\t") == 1]
    names = sorted({label for label, _ in rows})
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(args.data / "minilm/tokenizer.json"), pad_token="[PAD]"
    )
    model = BertForSequenceClassification.from_pretrained(
        args.data / "minilm", num_labels=len(names), attn_implementation="sdpa"
    ).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
    random.Random(1).shuffle(rows)
    n = (WARMUP + args.steps) * BATCH
    if args.grouped:
        pool = rows[: 2 * n]
        pool.sort(key=lambda row: len(row[1]))
        batches = [pool[i : i + BATCH] for i in range(0, len(pool), BATCH)]
        random.Random(2).shuffle(batches)
    else:
        batches = [rows[i : i + BATCH] for i in range(0, n, BATCH)]
    times = []
    for batch in batches[: WARMUP + args.steps]:
        texts, labels = [text for _, text in batch], [names.index(label) for label, _ in batch]
        start = time.perf_counter()
        inputs = tokenizer(
            texts, truncation=True, max_length=LONGEST, padding=True, return_tensors="pt"
        )
        inputs.pop("token_type_ids", None)
        optimizer.zero_grad(set_to_none=True)
        model(**inputs, labels=torch.tensor(labels)).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        times.append(time.perf_counter() - start)
    return {"ms": 1e3 * statistics.mean(times[WARMUP:]), "peak_mb": peak_rss_mb()}


if __name__ == "__main__":
    main()
