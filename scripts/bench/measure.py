"""Runs our program and its peers, each in a process of its own, and reads what they print."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rows import ROOT, Row


class Failed(Exception):
    """A program that did not do what it was asked to; `code` is what it ended with."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Effort:
    """How much one process does, and with how many threads."""

    warmup: int
    steps: int
    threads: int


@dataclass(frozen=True)
class Run:
    """One process: its time for the work, and all that it printed."""

    ms: float
    printed: dict


def execute(command: Sequence[str | Path], threads: int) -> Run:
    """Runs `command` to its end; its last line is JSON, and its time that of the process."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    elapsed = time.perf_counter() - start
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        message = lines[-1] if lines else f"{command[0]} said nothing"
        raise Failed(message.removeprefix("error: "), done.returncode)
    try:
        printed = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise Failed(f"{command[0]} printed no JSON", 1) from error
    return Run(1e3 * elapsed, printed)


def timed(row: Row, run: Run) -> Run:
    """The run with the time that counts in this row."""
    return run if row.whole_process else Run(run.printed["median_ms"], run.printed)


@dataclass(frozen=True)
class Ours:
    """`train bench`."""

    binary: Path

    def run(self, row: Row, effort: Effort, *more: str | Path) -> Run:
        command = [self.binary, "bench", row.config_path]
        command += ["--set", f"run.threads={effort.threads}"]
        command += ["--warmup", str(effort.warmup), "--steps", str(effort.steps)]
        if row.precision != "f32":
            command += ["--set", f"run.precision={row.precision}"]
        if row.generate:
            command += ["--generate", str(row.generate)]
        return timed(row, execute([*command, *more], effort.threads))

    def matmul_gflops(self, row: Row, effort: Effort) -> float | None:
        """The rate of our matrix product on this machine, if the program measures it."""
        if row.generate or row.whole_process:
            return None
        try:
            run = self.run(row, Effort(1, 1, effort.threads), "--profile")
        except Failed:
            return None
        return run.printed.get("matmul_gflops")


@dataclass(frozen=True)
class Peer:
    """A PyTorch script, in one of its variants and modes."""

    row: Row
    variant: str
    mode: str

    @property
    def name(self) -> str:
        return " ".join(part for part in (self.variant, self.mode) if part)

    @property
    def is_checked(self) -> bool:
        """Whether it computes in the precision that we do, so that its loss must be ours."""
        return (self.mode == "bf16") == (self.row.precision == "bf16")

    def run(self, first_step: Path, effort: Effort) -> Run:
        command = [sys.executable, self.row.peer_path, first_step, "--mode", self.mode]
        command += ["--threads", str(effort.threads)]
        command += ["--warmup", str(effort.warmup), "--steps", str(effort.steps)]
        if self.variant:
            command += ["--variant", self.variant]
        if self.row.generate:
            command.append("--generate")
        return timed(self.row, execute(command, effort.threads))


def git_commit() -> str | None:
    """The commit that is checked out, marked where files differ from it."""
    command = ["git", "-C", ROOT, "describe", "--always", "--abbrev=40", "--dirty", "--match="]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None


def cpu_model() -> str | None:
    """What the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, None)
