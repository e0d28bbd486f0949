"""``scproto evaluate``: scores of an embedding and its metacells against known labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from .. import _keys
from .._errors import InputError
from .console import quiet, say, show, stage

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from anndata import AnnData
    from numpy.typing import NDArray

PARTS = ("metacells", "homogeneity", "geometry", "integration", "scgraph")
"""Parts of the table; each is a dictionary in the JSON file."""

LOWER_IS_BETTER = {
    "size_cv",
    "inv",
    "inv_within_batch",
    "dubious_rate",
    "dubious_rate_within_batch",
    "compactness_variance",
    "coverage_distance_q50",
    "coverage_distance_q90",
    "coverage_distance_q99",
}
NO_SCORE = {"n_metacells", "scib_metrics_version"}


def evaluate(
    cells: Annotated[
        Path, typer.Argument(metavar="CELLS", help="cells.h5ad of a run, or any .h5ad file or .zarr folder.")
    ],
    label_key: Annotated[str, typer.Option(help="Column of obs with the known labels.")],
    batch_key: Annotated[str, typer.Option(help="Column of obs with the batch.")] = _keys.BATCH,
    embedding: Annotated[str, typer.Option(help="Entry of obsm with the embedding.")] = _keys.LATENT,
    assignment: Annotated[str, typer.Option(help="Column of obs with the metacell.")] = _keys.METACELL,
    layer: Annotated[str | None, typer.Option(help="Layer with the raw counts; by default X.")] = None,
    round_counts: Annotated[
        bool, typer.Option("--round-counts", help="Round fractional counts at random, as scproto fit does.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File for the scores as JSON.")] = None,
) -> None:
    """Score an embedding (scIB, scGraph) and metacells against known labels.

    Cells without a label are left out. The integration scores use at most 8,000 cells. Scores that need counts are
    left out if the file has none.

    Example: [bold]scproto evaluate run/cells.h5ad --label-key cell_type --out scores.json[/]
    """
    with quiet():
        from .._files import atomic_path
        from ..inputs import check_readable, read_scored

        check_readable(cells)
        with atomic_path(out) if out is not None else nullcontext() as path:
            with stage("Reading"):
                adata = read_scored(cells, layer)
            obs, obsm = adata.obs, adata.obsm
            for key in (batch_key, label_key, assignment):
                _check_exists(key, list(obs.columns), "obs")
            _check_exists(embedding, list(obsm), "obsm")
            known = _known(obs, [label_key, batch_key, assignment])
            scores = _score(
                _points(obsm[embedding])[known],
                *(_names(obs[key])[known] for key in (assignment, label_key, batch_key)),
                counts=_counts(adata, layer, known, 0 if round_counts else None),
            )
            if path is not None:
                path.write_text(json.dumps(scores, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    show(_table(scores), _label_table(scores["label_recall"]))
    if out is not None:
        say(f"Written to {out}.")


def _points(embedding: Any) -> Any:
    """Embedding as a dense table; ``obsm`` may hold a sparse one."""
    return embedding.toarray() if hasattr(embedding, "toarray") else embedding


def _known(obs: pd.DataFrame, keys: list[str]) -> NDArray[np.bool_]:
    """Mask of the cells with a label, a batch and a metacell."""
    for key in keys:
        if not obs[key].notna().any():
            raise InputError(f"No cell has a value in obs[{key!r}]: choose a column with values.")
    known = obs[keys].notna().all(axis=1).to_numpy()
    if not known.any():
        columns = ", ".join(f"obs[{key!r}]" for key in keys)
        raise InputError(f"No cell has a value in all of {columns}: choose other columns.")
    if not known.all():
        say(f"{(~known).sum():,} cells without a label, a batch or a metacell are left out.")
    return known


def _names(values: pd.Series[Any]) -> NDArray[Any]:
    """Text of each value, ``(n_cells,)``; NaN for a missing value."""
    from .._labels import as_text

    return as_text(values).to_numpy()


def _counts(adata: AnnData, layer: str | None, known: NDArray[np.bool_], rounding: int | None) -> Any | None:
    """Counts of the known cells; without counts, print why and return None."""
    from ..inputs import read_counts

    try:
        counts = read_counts(adata, layer, rounding=rounding)
    except InputError as error:
        say(f"{error} The homogeneity and scGraph scores need counts (--layer) and are left out.")
        return None
    for notice in counts.notices:
        say(notice)
    return counts.matrix[known].astype("float32", copy=False)


def _score(
    embedding: Any, metacells: NDArray[Any], labels: NDArray[Any], batches: NDArray[Any], *, counts: Any | None
) -> dict[str, Any]:
    """All scores by part; those that cannot be computed are left out."""
    from .. import metrics

    scores: dict[str, Any] = {"n_cells": len(labels)}
    with stage("Metacells"):
        scores["metacells"] = metrics.metacell_scores(metacells, labels, batches)
        recall = metrics.label_recall(metrics.contingency(metacells, labels))
        scores["label_recall"] = dict(zip(sorted(set(labels)), recall.tolist(), strict=True))
    with stage("Geometry"):
        scores["geometry"] = metrics.geometry_scores(embedding, metacells)
    if counts is not None:
        with stage("Homogeneity"):
            scores["homogeneity"] = metrics.homogeneity_scores(counts, metacells, batches)
    with stage("Integration"):
        scores["integration"] = _attempt(lambda: metrics.integration_scores(embedding, labels, batches))
    if counts is not None:
        with stage("scGraph"):
            expression = metrics.log1p_cp10k(counts)
            scores["scgraph"] = _attempt(lambda: metrics.scgraph_scores(embedding, expression, labels, batches))
    return scores


def _attempt(compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Scores; if there are too few cells, labels or batches, print so and return none."""
    try:
        return compute()
    except InputError as error:
        say(f"{error} These scores are left out.")
        return {}


def _check_exists(name: str, names: list[str], where: str) -> None:
    if name not in names:
        raise InputError(f"{where} has no {name!r}; it has {', '.join(map(str, names)) or 'no entries'}.")


def _table(scores: dict[str, Any]) -> Table:
    table = Table("part", "score", "value", "better")
    table.columns[2].justify = "right"
    for part in PARTS:
        for name, value in scores.get(part, {}).items():
            better = "" if name in NO_SCORE else "lower" if name in LOWER_IS_BETTER else "higher"
            table.add_row(part, name, f"{value:.3f}" if isinstance(value, float) else str(value), better)
        table.add_section()
    return table


def _label_table(recall: dict[str, float]) -> Table:
    table = Table(
        "label",
        "recall",
        title="Share of each label's cells in metacells where it is the majority",
        title_justify="left",
    )
    table.columns[0].overflow = "fold"  # shows the whole name
    table.columns[1].justify = "right"
    for label, value in recall.items():
        table.add_row(Text(label), f"{value:.3f}")
    return table
