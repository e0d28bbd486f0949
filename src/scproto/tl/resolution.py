"""Which level of the tree of prototypes the counts support, without labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._arguments import check_seed
from .._errors import InputError
from ..data.halves import split
from ..metacells import assign, cut
from ..metrics.held_out import held_out_likelihood

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
        held-out counts, nats a cell above that of one metacell) and ``share`` (of the highest score).
    best
        The finest level that keeps enough of the highest score.
    """

    table: pd.DataFrame
    best: int

    def __str__(self) -> str:
        """The table and the choice."""
        return f"{self.table.round(3).to_string(index=False)}\nBest: {self.best} metacells."


def choose_resolution(adata: AnnData, model: SCPROTO, *, tolerance: float = 0.1, seed: int = 0) -> Resolution:
    """Score levels of the tree of prototypes by how well their metacells predict held-out counts.

    The counts are split in two halves at random (count splitting; Neufeld et al., Biostatistics 2024). Cells are
    assigned by the one half, and the other half of each cell is predicted from the other cells of its
    metacell: coarse metacells miss differences, tiny ones are noise. The likelihood is a mean over cells and
    hardly feels a rare population that shares its metacell, so the choice is not the level of the highest score
    but the finest that comes close to it.

    Parameters
    ----------
    adata
        Cells of the batches that the model knows. Nothing is changed.
    model
        A trained model. No level has more metacells than the model has prototypes.
    tolerance
        Share of the highest score that may be given up for finer metacells, in [0, 1); with 0 the level of the
        highest score is chosen.
    seed
        Of the split and of the choice of cells to predict, where there are more than 5,000.

    Returns
    -------
    Table of levels and scores, and the best.

    Raises
    ------
    InputError
        If the model is not trained, the cells lack its genes or come from an unknown batch, or the tolerance is
        out of range.
    """
    seed = check_seed(seed)
    if not 0 <= tolerance < 1:
        raise InputError(f"tolerance={tolerance!r} is no share: choose a number from 0 to below 1.")
    cells = model.cells(adata)
    rng = np.random.default_rng(seed)
    seen, held_out = split(cells, rng)
    nearest = assign(model.embed(seen), model.prototypes).nearest
    n_prototypes = len(model.prototypes)
    numbers = np.unique(np.geomspace(1, n_prototypes, N_LEVELS).round().astype(int))
    levels = np.array([cut(model.prototypes, int(n)).group for n in numbers])
    scored = rng.permutation(len(nearest))[:MAX_SCORED]
    scores = held_out_likelihood(seen.counts, held_out, cells.batch, nearest, levels, scored)
    score = (scores - scores[0]).mean(1)
    used = [len(np.unique(group[nearest])) for group in levels]
    share = score / score.max() if score.max() > 0 else np.where(score == 0, 1.0, 0.0)
    table = pd.DataFrame({"n": numbers, "n_used": used, "score": score, "share": share})
    best = numbers[np.flatnonzero(share >= 1 - tolerance)[-1]]
    return Resolution(table, int(best))
