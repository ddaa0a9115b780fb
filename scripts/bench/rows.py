"""What is compared: one row a kind of work, with the programs that do it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


@dataclass(frozen=True)
class Row:
    """One kind of work: a configuration of ours and a peer that does the same."""

    name: str
    config: str
    peer: str
    steps: int
    """Steps or texts that one process times."""
    variants: tuple[str, ...] = ("",)
    packages: tuple[str, ...] = ()
    precision: str = "f32"
    """In which products are made, by us and by the peer."""
    generate: int = 0
    """Tokens to write, instead of training steps."""
    whole_process: bool = False
    """The time is that of the process, from its start to its end after one step."""

    @property
    def config_path(self) -> Path:
        return ROOT / "configs" / "bench" / f"{self.config}.toml"

    @property
    def peer_path(self) -> Path:
        return HERE / "peers" / f"{self.peer}.py"


def _rows() -> tuple[Row, ...]:
    windows = {"variants": ("sdpa", "local"), "packages": ("local_attention",)}
    edges = {"packages": ("torch_geometric",)}
    return (
        Row("text-small", "text-small", "text", steps=20),
        Row("text-base", "text-base", "text", steps=4),
        Row("text-base-bf16", "text-base", "text", steps=4, precision="bf16"),
        Row("text-long", "text-long", "text", steps=5),
        Row("vit", "vit", "image", steps=6),
        Row("speech-1k", "speech-1k", "speech", steps=8, **windows),
        Row("speech-8k", "speech-8k", "speech", steps=3, **windows),
        Row("graph-small", "graph-small", "graph", steps=20, **edges),
        Row("graph-large", "graph-large", "graph", steps=3, **edges),
        Row("minilm", "minilm", "bert", steps=3, packages=("transformers",)),
        Row("generation", "generate", "text", steps=3, generate=255),
        Row("start", "text-small", "text", steps=1, whole_process=True),
    )


ROWS: dict[str, Row] = {row.name: row for row in _rows()}
