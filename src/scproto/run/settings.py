"""Settings of a run, and the names of the files that it writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from anndata import AnnData

CELLS, METACELLS, MODEL, REPORT = "cells.h5ad", "metacells.h5ad", "model", "report.html"

MARKER = "run.json"
"""File that marks a folder as a run folder; it is written last."""

Source = str | Path | Callable[[], AnnData]


@dataclass(frozen=True)
class Settings:
    """Settings of a run; the defaults are those of ``scproto fit``."""

    batch_key: tuple[str, ...] = ()
    label_keys: tuple[str, ...] = ()
    layer: str | None = None
    raw: bool = False
    round_counts: bool = False
    n_prototypes: int | Literal["auto"] = "auto"
    max_steps: int | None = None
    seed: int = 0
    seeds: int = 1
    threads: int | None = None
    accelerator: str = "auto"
    report: bool = True

    def storable(self) -> dict[str, Any]:
        """Return the settings that were given, in types that AnnData can write."""
        given = {name: value for name, value in asdict(self).items() if value not in (None, ())}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
