"""The file of results, and the page that shows them.

Every row says when, of which commit and with what it was measured: so some can be measured
again without the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from report import markdown, number

BEST = "with_compile_and_bf16"
"""Where a row keeps a run with `--best`: all programs take their turns in it, so its times are
not those of a run with one peer."""

BEGIN = "<!-- written by scripts/bench/compare.py: from here -->"
END = "<!-- to here -->"
HEADER = (
    "row", "ours, ms", "GFLOP/s", "of a large product's rate", "peer", "peer, ms",
    "ratio, median and range", "peak memory, MB", "fastest peer with compile and bf16",
    "commit",
)  # fmt: skip


class Unreadable(Exception):
    """A file that is not what this program writes, in one line."""


def load(path: Path) -> dict[str, dict]:
    """The rows of the file by name; none if there is no file."""
    if not path.exists():
        return {}
    try:
        return {row["row"]: row for row in json.loads(path.read_text())["rows"]}
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"{path}: is no file of results; move it away") from error


def merge(rows: dict[str, dict], figures: Iterable[dict], about: dict, best: bool) -> None:
    """Puts new figures in the place of older ones of the same row and kind."""
    for new in figures:
        old = rows.setdefault(new["row"], {})
        if best:
            kept = ("ours", "peers", "fastest_peer")
            old[BEST] = {**about, **{key: new[key] for key in kept}}
            if "ours" in old:
                continue
        rows[new["row"]] = {**new, **about, **({BEST: old[BEST]} if BEST in old else {})}


def save(path: Path, rows: Iterable[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"rows": list(rows)}, indent=2) + "\n")


def show(page: Path, rows: Iterable[dict]) -> None:
    """Writes the rows into the page, between its two marks."""
    text = page.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise Unreadable(f"{page}: has no place for rows; it is between `{BEGIN}` and `{END}`")
    page.write_text(f"{before}{BEGIN}\n\n{lines_of(list(rows))}\n\n{END}{after}")


def lines_of(rows: list[dict]) -> str:
    """A table, and what it was measured with."""
    table = [HEADER]
    for row in rows:
        ours = row["ours"]
        for i, peer in enumerate(peer for peer in row["peers"] if "failed" not in peer):
            mine = (
                row["row"],
                number(ours["median_ms"], 1),
                number(ours["gflops"], 0),
                number(ours["matmul_share"], 2),
            )
            theirs = (
                peer["name"],
                number(peer["median_ms"], 1),
                f"{ratio(peer)} ({number(peer['ratio_min'], 2)} to {number(peer['ratio_max'], 2)})",
                f"{number(ours['peak_rss_mb'], 0)}, {number(peer['peak_rss_mb'], 0)}",
            )
            last = (fastest(row), row["commit"][:7])
            table.append((*mine, *theirs, *last) if i == 0 else ("",) * 4 + theirs + ("", ""))
    about = sorted({with_what(row) for row in rows})
    return "\n".join([markdown(table), "", *about])


def ratio(peer: dict) -> str:
    return number(peer["ratio"], 2)


def fastest(row: dict) -> str:
    """The fastest way of the peer and our ratio to it, where all were measured."""
    able = [peer for peer in row.get(BEST, {}).get("peers", ()) if "median_ms" in peer]
    if not able:
        return ""
    peer = min(able, key=lambda peer: peer["median_ms"])
    return f"{peer['name']}, {ratio(peer)}"


def with_what(row: dict) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
    return f"{row['cpu']}, {row['threads']} threads, {row['pairs']} pairs; {versions}."
