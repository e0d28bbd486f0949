"""``run.json``: the settings of a run, what it did, and its results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys
from .._files import atomic_path
from .._labels import as_text
from .._versions import library_versions
from .job import Job
from .memory import peak_memory
from .settings import CELLS, MARKER, METACELLS, MODEL, REPORT, Settings, Source

WRITTEN = (CELLS, METACELLS, MARKER, REPORT, f"{MODEL}/*", "figures/*.png")
"""Patterns of the files that a run writes, for runs whose record has no list of them."""


def make_record(
    source: Source,
    settings: Settings,
    timings: dict[str, float],
    adata: AnnData,
    history: Mapping[str, pd.DataFrame],
    job: Job,
) -> dict[str, Any]:
    """Gather the content of ``run.json``; `timings` may grow while the run continues."""
    last = {name: _last(values) for name, values in history.items()}
    return {
        "input": source.__name__ if callable(source) else str(source),
        "settings": asdict(settings),
        "seed": settings.seed,
        "versions": library_versions(),
        "n_cells": adata.n_obs,
        "n_genes": adata.n_vars,
        "batches": {str(name): int(n) for name, n in adata.obs[_keys.BATCH].value_counts(sort=False).items()},
        "timings": timings,
        "peak_memory_mib": whole_memory(job),
        "losses": {name: value for name, value in last.items() if name.startswith("loss")},
        "diagnostics": {name: value for name, value in last.items() if not name.startswith("loss")},
        "metacells": _describe_metacells(adata, settings.label_keys),
        "verdict": _keys.record_of(adata).get("verdict"),
    }


def write_record(record: dict[str, Any], folder: Path) -> None:
    """Write ``run.json`` into the run folder."""
    with atomic_path(folder / MARKER) as path:
        path.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def list_files(folder: Path) -> list[str]:
    """List the files in a run folder, including ``run.json``, by their names relative to it."""
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return sorted({*files, MARKER})


def written_files(folder: Path) -> set[str]:
    """Names of the files in a run folder that the run wrote, according to its record."""
    try:
        files = json.loads((folder / MARKER).read_text(encoding="utf-8")).get("files")
    except (OSError, ValueError, AttributeError):  # no record, or not one of scproto
        files = None
    if isinstance(files, list):
        return {str(name) for name in files}
    return {path.relative_to(folder).as_posix() for pattern in WRITTEN for path in folder.glob(pattern)}


def whole_memory(job: Job) -> float | None:
    """Sum of the peak memory of this process and of that for UMAP, in MiB; the peaks may differ in time."""
    own = peak_memory()
    return round(own + job.peak_memory, 1) if own else None


def _last(values: pd.DataFrame) -> float | None:
    """Return the last finite value of a history, since JSON has no NaN; None if there is none."""
    numbers = values.to_numpy(dtype=float).ravel()
    numbers = numbers[np.isfinite(numbers)]
    return float(numbers[-1]) if len(numbers) else None


def _describe_metacells(adata: AnnData, label_keys: tuple[str, ...]) -> dict[str, Any]:
    from ..metrics import metacell_scores

    obs = adata.obs
    metacell = as_text(obs[_keys.METACELL])
    scores = metacell_scores(metacell, None, as_text(obs[_keys.BATCH]))
    purity = {}
    for key in label_keys:
        labels = as_text(obs[key])
        known = labels.codes >= 0
        purity[key] = metacell_scores(metacell[known], labels[known])["purity"] if known.any() else None
    return scores | {"n_outliers": int(obs[_keys.OUTLIER].sum()), "purity": purity}
