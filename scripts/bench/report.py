"""From runs to figures, and from figures to a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from measure import Peer, Run
from rows import Row

HEADER = (
    "row", "ours ms", "GFLOP/s", "of matmul", "PyTorch", "ms", "ratio", "range",
    "MB ours", "MB theirs", "ratio", "loss ours", "loss theirs",
)  # fmt: skip


def summary(
    row: Row,
    ours: Sequence[Run],
    peers: dict[Peer, Sequence[Run]],
    failed: dict[Peer, str],
    matmul_gflops: float | None,
) -> dict:
    """The figures of one row, as they go into the file of results."""
    printed = ours[0].printed
    gflops = [run.printed["gflops"] for run in ours if "gflops" in run.printed]
    counted = bool(gflops) and not row.whole_process
    rate = median(gflops) if counted else None
    memory = median(run.printed["peak_rss_mb"] for run in ours)
    mine = {
        "median_ms": median(run.ms for run in ours),
        "runs_ms": [run.ms for run in ours],
        "gflops": rate,
        "matmul_gflops": matmul_gflops,
        "matmul_share": rate / matmul_gflops if rate and matmul_gflops else None,
        "peak_rss_mb": memory,
        "first_loss": printed["first_loss"],
        "n_params": printed["n_params"],
        "isa": printed["isa"],
    }
    if row.generate:
        mine["tokens_per_s"] = median(run.printed["tokens_per_s"] for run in ours)
    theirs = [peer_summary(row, peer, runs, ours, memory) for peer, runs in peers.items()]
    theirs += [{"name": peer.name, "failed": message} for peer, message in failed.items()]
    fastest = min((p for p in theirs if "median_ms" in p), key=lambda p: p["median_ms"])
    return {
        "row": row.name,
        "config": f"configs/bench/{row.config}.toml",
        "precision": row.precision,
        "ours": mine,
        "peers": theirs,
        "fastest_peer": fastest["name"],
    }


def peer_summary(
    row: Row, peer: Peer, runs: Sequence[Run], ours: Sequence[Run], our_memory: float
) -> dict:
    ratios = [theirs.ms / mine.ms for mine, theirs in zip(ours, runs, strict=True)]
    memory = median(run.printed["peak_rss_mb"] for run in runs)
    loss = runs[0].printed["first_loss"]
    figures = {
        "name": peer.name,
        "median_ms": median(run.ms for run in runs),
        "runs_ms": [run.ms for run in runs],
        "ratio": median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "peak_rss_mb": memory,
        "peak_rss_ratio": memory / our_memory,
        "first_loss": loss,
        "loss_difference": abs(loss - ours[0].printed["first_loss"]),
        "loss_checked": peer.is_checked,
    }
    if row.generate:
        figures["tokens_per_s"] = median(run.printed["tokens_per_s"] for run in runs)
        figures["same_tokens"] = runs[0].printed["same_tokens"]
    return figures


def table(rows: Iterable[dict]) -> str:
    """The rows as a Markdown table; `*` marks the fastest of several peers."""
    lines = [HEADER]
    for row in rows:
        ours = row["ours"]
        for i, peer in enumerate(row["peers"]):
            mine = (
                row["row"],
                number(ours["median_ms"], 1),
                number(ours["gflops"], 0),
                number(ours["matmul_share"], 2),
            )
            cells = mine if i == 0 else ("",) * 4
            lines.append((*cells, *peer_cells(row, peer)))
    return markdown(lines)


def markdown(lines: Sequence[tuple[str, ...]]) -> str:
    """A table of Markdown, whose first line is its head."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    head, *body = lines

    def text(line: Sequence[str]) -> str:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        return f"| {' | '.join(cells)} |"

    return "\n".join(map(text, [head, tuple("-" * width for width in widths), *body]))


def peer_cells(row: dict, peer: dict) -> tuple[str, ...]:
    if "failed" in peer:
        return (peer["name"], "failed", *[""] * 7)
    ours = row["ours"]
    marked = len(row["peers"]) > 1 and peer["name"] == row["fastest_peer"]
    unchecked = "" if peer["loss_checked"] else " (not checked)"
    return (
        peer["name"] + (" *" if marked else ""),
        number(peer["median_ms"], 1),
        number(peer["ratio"], 2),
        f"{number(peer['ratio_min'], 2)} to {number(peer['ratio_max'], 2)}",
        number(ours["peak_rss_mb"], 0),
        number(peer["peak_rss_mb"], 0),
        number(peer["peak_rss_ratio"], 1),
        number(ours["first_loss"], 5),
        number(peer["first_loss"], 5) + unchecked,
    )


def number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
