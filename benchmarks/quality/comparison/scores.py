"""Scores of one result, all from ``scproto.metrics``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from scproto._errors import InputError
from scproto._files import atomic_path
from scproto.metrics import integration_scores, metacell_scores

from .processes import OK
from .runs import RECORD, Found, Run, read_found

Scores = dict[str, float | str]

SCORES = "scores.json"


def score(found: Found, annotation: pd.DataFrame) -> Scores:
    """Score metacells and, where there is one, the embedding.

    Parameters
    ----------
    found
        Of the cells of `annotation`. Cells without a metacell count in ``assigned`` only.
    annotation
        ``batch`` and ``cell_type`` of the cells. Cells without a cell type are left out.

    Returns
    -------
    The scores by name.
    """
    known = annotation["cell_type"].notna().to_numpy()
    labels, batches, metacells = annotation["cell_type"][known], annotation["batch"][known], found.assignment[known]
    taken = metacells >= 0
    scores: Scores = {"assigned": float(taken.mean())}
    scores |= metacell_scores(metacells[taken], labels[taken], batches[taken])
    if found.embedding is not None:
        scores |= integration_scores(found.embedding[known], labels, batches)
    return scores


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
            scores = score(read_found(folder / "result.npz"), run.data.annotation())
        except InputError as error:
            scores = {"status": f"not scored: {error}"}
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(scores, indent=2, default=_plain) + "\n")
    return json.loads(path.read_text())


def _plain(value: np.generic) -> float | int:
    return value.item()
