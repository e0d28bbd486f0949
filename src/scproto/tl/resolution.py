"""The level of the tree of prototypes that the counts support, without labels."""

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
"""Number of levels that are scored, evenly spaced on a log scale."""

MAX_SCORED = 5000
"""Maximum number of cells whose held-out counts are predicted."""


@dataclass(frozen=True)
class Resolution:
    """Scores of levels of the tree.

    Attributes
    ----------
    table
        One row per level: ``n`` (number of metacells), ``n_used`` (number of metacells with cells), ``score``
        (log-likelihood of the held-out counts, in nats per cell above that of one metacell) and ``share`` (of the
        highest score).
    best
        Number of metacells of the finest level that keeps enough of the highest score.
    """

    table: pd.DataFrame
    best: int

    def __str__(self) -> str:
        """The table and the choice."""
        return f"{self.table.round(3).to_string(index=False)}\nBest: {self.best} metacells."


def choose_resolution(adata: AnnData, model: SCPROTO, *, tolerance: float = 0.1, seed: int = 0) -> Resolution:
    """Score levels of the tree of prototypes by how well their metacells predict held-out counts.

    The counts are split at random into two halves (count splitting; Neufeld et al., Biostatistics 2024). The first half
    assigns the cells. The second half of each cell is predicted from the other cells of its metacell: coarse metacells
    miss differences, tiny ones are noisy. The likelihood is a mean over cells, so a rare population that shares a
    metacell with others hardly affects it. The function therefore chooses the finest level whose score comes close to
    the highest one.

    Parameters
    ----------
    adata
        Cells of batches that the model knows. Nothing is changed.
    model
        A trained model. No level has more metacells than the model has prototypes.
    tolerance
        Share of the highest score that may be given up for finer metacells, in [0, 1). With 0, the level with the
        highest score is chosen.
    seed
        Seed of the split, and of the choice of cells to predict if there are more than 5,000.

    Returns
    -------
    resolution : Resolution
        Table of levels and scores, and the best level.

    Raises
    ------
    InputError
        If the model is not trained, the cells lack its genes or come from an unknown batch, or the tolerance is
        out of range.
    """
    seed = check_seed(seed)
    if not 0 <= tolerance < 1:
        raise InputError(f"tolerance={tolerance!r} does not work: give a number of at least 0 and below 1.")
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
