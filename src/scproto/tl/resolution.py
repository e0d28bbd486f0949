"""Which level of the tree of prototypes the counts support, without labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..metrics.held_out import held_out_likelihood, split_counts
from .assignment import assign
from .tree import cut

if TYPE_CHECKING:
    from anndata import AnnData

    from ..model import SCPROTO

N_LEVELS = 20
"""Levels that are scored, evenly spaced on a log scale."""

MAX_SCORED = 5000
"""Cells whose held-out counts are predicted."""


@dataclass(frozen=True)
class Resolution:
    """Scores of levels of the tree.

    Attributes
    ----------
    table
        A row a level: ``n`` (metacells asked for), ``n_used`` (with cells), ``score`` (log-likelihood of the
        held-out counts, nats a cell above that of one metacell) and ``error`` (standard error of its
        difference from the highest score).
    best
        The coarsest level whose score is within one standard error of the highest.
    """

    table: pd.DataFrame
    best: int

    def __str__(self) -> str:
        """The table and the choice."""
        return f"{self.table.round(3).to_string(index=False)}\nBest: {self.best} metacells."


def choose_resolution(adata: AnnData, model: SCPROTO, *, seed: int = 0) -> Resolution:
    """Score levels of the tree of prototypes by how well their metacells predict held-out counts.

    The counts are split in two halves at random (count splitting; Neufeld et al., Biostatistics 2024). Cells are
    assigned by the one half, and the other half of each cell is predicted from the other cells of its
    metacell: coarse metacells miss differences, tiny ones are noise. The coarsest level within one standard
    error of the best is taken (Breiman's rule).

    Parameters
    ----------
    adata
        Cells of the batches that the model knows. Nothing is changed.
    model
        A trained model. No level has more metacells than the model has prototypes.
    seed
        Of the split and of the choice of cells to predict, where there are more than 5,000.

    Returns
    -------
    Table of levels and scores, and the best.

    Raises
    ------
    InputError
        If the model is not trained, or the cells lack its genes or come from an unknown batch.
    """
    cells = model.cells(adata)
    rng = np.random.default_rng(seed)
    seen, held_out = split_counts(sp.csr_matrix(cells.counts), rng)
    nearest = assign(model.embed(type(cells)(seen, cells.batch)), model.prototypes).nearest
    n_prototypes = len(model.prototypes)
    numbers = np.unique(np.geomspace(1, n_prototypes, N_LEVELS).round().astype(int))
    levels = np.array([cut(model.prototypes, int(n)).group for n in numbers])
    scored = rng.permutation(len(nearest))[:MAX_SCORED]
    scores = held_out_likelihood(seen, held_out, cells.batch, nearest, levels, scored)
    highest = scores[scores.mean(1).argmax()]
    error = (scores - highest).std(axis=1) / np.sqrt(len(scored))
    table = pd.DataFrame(
        {
            "n": numbers,
            "n_used": [len(np.unique(group[nearest])) for group in levels],
            "score": (scores - scores[0]).mean(1),
            "error": error,
        }
    )
    best = numbers[np.flatnonzero(scores.mean(1) + error >= highest.mean())[0]]
    return Resolution(table, int(best))
