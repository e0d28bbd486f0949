"""Scores of one result, all from ``scproto.metrics``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from anndata import AnnData

from scproto._errors import InputError
from scproto._files import atomic_path
from scproto.metrics import (
    geometry_scores,
    homogeneity_scores,
    integration_scores,
    log1p_cp10k,
    metacell_scores,
    scgraph_scores,
)

from .processes import OK
from .runs import RECORD, Found, Run, read_found

Scores = dict[str, float | str]

SCORES = "scores.json"


def score(found: Found, cells: AnnData) -> Scores:
    """Score metacells and, where there is one, the embedding.

    Parameters
    ----------
    found
        What a method found of the cells. Those without a metacell count in ``assigned`` only.
    cells
        Input of the methods, with ``obs["cell_type"]``. Cells without a cell type are left out.

    Returns
    -------
    The scores by name.
    """
    known = cells.obs["cell_type"].notna().to_numpy()
    taken = known & (found.assignment >= 0)
    batches, labels = cells.obs["batch"].astype(str), cells.obs["cell_type"]
    scores: Scores = {"assigned": float(taken.sum() / known.sum())}
    scores |= metacell_scores(found.assignment[taken], labels[taken], batches[taken])
    scores |= homogeneity_scores(cells.X[taken], found.assignment[taken], batches[taken])
    scores |= geometry_scores(cells.obsm["X_pca"][taken], found.assignment[taken])  # one space for all methods
    if found.embedding is not None:
        scores |= integration_scores(found.embedding[known], labels[known], batches[known])
        scores |= _scgraph(found.embedding[known], cells[known])
    return scores


def _scgraph(embedding: np.ndarray, cells: AnnData) -> Scores:
    """Scores of scGraph, none where batches are small or labels few."""
    try:
        return scgraph_scores(embedding, log1p_cp10k(cells.X), cells.obs["cell_type"], cells.obs["batch"].astype(str))
    except InputError:
        return {}


def scores_of(run: Run, out: Path, *, again: bool = False) -> Scores:
    """Return the scores of a run that is there, computed once.

    Parameters
    ----------
    run
        A run with a record.
    out
        Folder of the results.
    again
        Score it anew.

    Returns
    -------
    The scores, none for a run that failed; only ``status`` if what it found can't be scored.
    """
    folder = run.folder(out)
    path = folder / SCORES
    if json.loads((folder / RECORD).read_text())["status"] != OK:
        return {}
    if again or not path.exists():
        try:
            scores = score(read_found(folder / "result.npz"), run.data.labelled())
        except InputError as error:
            scores = {"status": f"not scored: {error}"}
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(scores, indent=2, default=_plain) + "\n")
    return json.loads(path.read_text())


def _plain(value: np.generic) -> float | int:
    return value.item()
