#!/usr/bin/env python3
"""Compares what our binary makes of models with what transformers and PEFT make of them.

    python scripts/parity.py                          # fresh tiny models of every class
    python scripts/parity.py --minilm DIR --text FILE # and all-MiniLM-L6-v2 on 1,000 lines

Prints a table of what was compared, the largest difference and the bound; ends with 1 if one
is missed. Needs torch==2.11.0, transformers==5.24.0, peft, accelerate, safetensors and numpy,
a built binary, and cargo, which runs the test of `interop` on the fresh models.

    a  answers of fresh models, and our exports of them read by transformers
    b  vectors and token ids of all-MiniLM-L6-v2
    c  loss and gradients of one training step from the same weights
    d  our adapters beside their base in PEFT
"""

import argparse
import platform
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts/parity"))

import harness
import answers
import minilm
import step

import peft
import safetensors
import torch
import transformers


def lines_of(path, n):
    """The first `n` texts of a file; of a table, its last column."""
    lines = path.read_text(errors="strict").splitlines()
    if path.suffix in (".tab", ".tsv"):
        lines = [line.split("\t")[-1].strip() for line in lines if "\t" in line]
        # Names and types of the columns.
        lines = [line for line in lines if line not in ("Text", "string")]
    lines = [line for line in lines if line.strip()]
    return lines[:n]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, default=ROOT / "target/release/train")
    parser.add_argument("--minilm", type=Path, metavar="DIR")
    parser.add_argument("--text", type=Path, metavar="FILE", help="lines for --minilm")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-cargo", action="store_true", help="without the test of `interop`")
    parser.add_argument("--only", default="abcd", help="checks to run, of abcd")
    args = parser.parse_args()
    if args.minilm and not args.text:
        parser.error("--minilm needs --text")
    harness.quiet()
    harness.shift_seeds(100 * args.seed)
    table, train = harness.Table(), harness.Train(args.train)
    with tempfile.TemporaryDirectory() as root:
        root = Path(root)
        if "a" in args.only:
            answers.check(table, train, root, not args.no_cargo)
        if "b" in args.only and args.minilm:
            text = lines_of(args.text, 1000)
            minilm.check(table, train, args.minilm.resolve(), text, root)
        if "c" in args.only:
            step.check(table, train, root, args.seed)
        if "d" in args.only:
            import adapters
            adapters.check(table, train, root, args.seed)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, "
          f"peft {peft.__version__}, safetensors {safetensors.__version__}, "
          f"Python {platform.python_version()}, seed {args.seed}\n")
    table.print()
    missed = table.missed()
    if missed:
        sys.exit(f"{len(missed)} of {len(table.rows)} bounds are missed")


if __name__ == "__main__":
    main()
