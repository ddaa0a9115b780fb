#!/usr/bin/env python3
"""Compares the speed of `train` with PyTorch's, in turn and on the same work.

    cargo build --release
    pip install -r scripts/bench/requirements.txt
    python scripts/bench/compare.py

For every row our program first writes its weights and batch to a file, and every peer
loads them: the losses of the first step must be equal within 1e-3. Then ours and the
peers run in turn, each in a process of its own. The README beside this file says more.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from measure import Effort, Failed, Ours, Peer, Run, cpu_model, git_commit
from report import summary, table
from results import Unreadable, load, merge, save, show
from rows import ROOT, ROWS, Row

TOLERANCE = 1e-3
RESULTS = ROOT / "bench" / "results.json"
PAGE = ROOT / "docs" / "performance.md"
MODES = ("eager", "compile", "bf16")


class BadUse(Exception):
    """A command line that asks for something impossible, in one line."""


def main() -> int:
    args = command_line()
    try:
        kept = load(args.out)
        rows = chosen(args.rows)
        check_programs(rows, args.train)
        figures = [measured(row, kept, args) for row in rows]
    except (BadUse, Unreadable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Failed as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if error.code == 2 else 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(table(figures))
    for row in figures:
        for peer in row["peers"]:
            if "failed" in peer:
                print(f"{row['row']}: {peer['name']} failed: {peer['failed']}")
    return 0


class OneLineParser(argparse.ArgumentParser):
    """Says in one line what is wrong, and ends with 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\n")


def command_line() -> argparse.Namespace:
    parser = OneLineParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    n_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    positive = at_least(1)
    add = parser.add_argument
    add("--rows", metavar="A,B", help=f"rows to compare, of {', '.join(ROWS)}; else all")
    add("--pairs", type=positive, default=7, metavar="N", help="runs of each, in turn (7)")
    add("--steps", type=positive, metavar="N", help="timed steps of a run; else as the row has")
    add("--warmup", type=at_least(0), default=2, metavar="N", help="steps before them (2)")
    add("--threads", type=positive, default=n_threads, metavar="N", help=f"({n_threads})")
    add("--best", action="store_true", help="also torch.compile and bf16 autocast")
    add("--train", type=Path, default=ROOT / "target" / "release" / "train", metavar="PATH",
        help="our program (target/release/train)")  # fmt: skip
    add("--out", type=Path, default=RESULTS, metavar="FILE",
        help="where the figures go; rows not measured stay (bench/results.json, and from "
        "there docs/performance.md)")  # fmt: skip
    return parser.parse_args()


def at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if (value := int(text)) < least:
            raise argparse.ArgumentTypeError(f"{value} is below {least}")
        return value

    return number


def chosen(names: str | None) -> list[Row]:
    """The rows that `names` lists, in its order."""
    if names is None:
        return list(ROWS.values())
    listed = [name.strip() for name in names.split(",")]
    unknown = [name for name in listed if name not in ROWS]
    if unknown:
        raise BadUse(f"no row is called `{unknown[0]}`; there are {', '.join(ROWS)}")
    return [ROWS[name] for name in dict.fromkeys(listed)]


def check_programs(rows: list[Row], binary: Path) -> None:
    """Our program and the packages that the rows need are there."""
    if not os.access(binary, os.X_OK):
        raise BadUse(f"{binary}: is no program; run `cargo build --release` or give --train")
    needed = ["torch", "safetensors", "numpy", *(p for row in rows for p in row.packages)]
    missing = [package for package in dict.fromkeys(needed) if find_spec(package) is None]
    if missing:
        install = "pip install -r scripts/bench/requirements.txt"
        raise BadUse(f"Python has no {', '.join(missing)}; run `{install}`")


def measured(row: Row, kept: dict[str, dict], args: argparse.Namespace) -> dict:
    """The figures of one row, which are written at once: a run that is ended keeps them."""
    figures, versions = compare(row, args)
    merge(kept, [figures], about(args, versions), args.best)
    in_order = [kept[name] for name in ROWS if name in kept]
    save(args.out, in_order)
    if args.out == RESULTS:
        show(PAGE, in_order)
    return figures


def compare(row: Row, args: argparse.Namespace) -> tuple[dict, dict]:
    """The figures of one row, and the versions that its peers named."""
    ours = Ours(args.train)
    effort = effort_of(row, args)
    modes = MODES if args.best else MODES[:1]
    if row.precision == "bf16":
        modes = ("bf16",)
    peers = [Peer(row, variant, mode) for variant in row.variants for mode in modes]
    with tempfile.TemporaryDirectory() as folder:
        first_step = Path(folder) / "first-step.safetensors"
        progress(f"{row.name}: the first step")
        written = ours.run(row, effort_of(row, args, steps=1), "--first-step", first_step)
        failed, versions = check(peers, written, first_step, effort_of(row, args, steps=1))
        peers = [peer for peer in peers if peer not in failed]
        matmul_gflops = ours.matmul_gflops(row, effort)
        mine: list[Run] = []
        theirs: dict[Peer, list[Run]] = {peer: [] for peer in peers}
        for pair in range(args.pairs):
            progress(f"{row.name}: pair {pair + 1} of {args.pairs}")
            mine.append(ours.run(row, effort))
            for peer in peers:
                theirs[peer].append(peer.run(first_step, effort))
    return summary(row, mine, theirs, failed, matmul_gflops), versions


def effort_of(row: Row, args: argparse.Namespace, steps: int | None = None) -> Effort:
    if row.whole_process:
        return Effort(warmup=0, steps=1, threads=args.threads)
    return Effort(args.warmup, steps or args.steps or row.steps, args.threads)


def check(
    peers: list[Peer], written: Run, first_step: Path, effort: Effort
) -> tuple[dict[Peer, str], dict]:
    """Runs every peer once, which also warms it up, and compares its loss with ours.

    The first must run. Others may fail, compiled or in bf16, which not every machine can.
    Those in the precision that we compute in must agree with us.
    """
    failed: dict[Peer, str] = {}
    versions: dict = {}
    ours = written.printed["first_loss"]
    for peer in peers:
        try:
            printed = peer.run(first_step, effort).printed
        except Failed as error:
            if peer.mode == peers[0].mode:
                raise
            failed[peer] = str(error)
            continue
        versions = printed["versions"]
        difference = abs(printed["first_loss"] - ours)
        # A difference that is no number is not below the tolerance either.
        if peer.is_checked and not difference <= TOLERANCE:
            message = f"{peer.row.name}: the first loss is {ours} here, {printed['first_loss']}"
            raise Failed(f"{message} on PyTorch ({peer.name}): not the same work", 1)
    return failed, versions


def about(args: argparse.Namespace, versions: dict) -> dict:
    """What rows are measured with."""
    return {
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": git_commit(),
        "versions": versions,
        "cpu": cpu_model(),
        "threads": args.threads,
        "pairs": args.pairs,
        "loss_tolerance": TOLERANCE,
    }


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
