"""What a run is asked to do, and what is written where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from anndata import AnnData

CELLS, METACELLS, MODEL, REPORT = "cells.h5ad", "metacells.h5ad", "model", "report.html"

MARKER = "run.json"
"""The file that tells a run folder from any other; written last."""

Source = str | Path | Callable[[], AnnData]


@dataclass(frozen=True)
class Settings:
    """What a run is asked to do; the defaults are those of ``scproto fit``."""

    batch_key: tuple[str, ...] = ()
    label_keys: tuple[str, ...] = ()
    layer: str | None = None
    raw: bool = False
    round_counts: bool = False
    n_prototypes: int | Literal["auto"] = "auto"
    max_steps: int | None = None
    seed: int = 0
    threads: int | None = None
    accelerator: str = "auto"
    report: bool = True

    def storable(self) -> dict[str, Any]:
        """The settings that were given, as AnnData can write them."""
        given = {name: value for name, value in asdict(self).items() if value not in (None, ())}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
