"""Which metacells another seed would not give."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys
from .._arguments import MAX_SEED, check_whole
from .._errors import InputError
from ..metrics import agreement, best_overlap

if TYPE_CHECKING:
    from ..model import SCPROTO

N_REPEATS = 4
"""Number of repeats of the last k-means."""

WORK = 20_000_000
"""Product of cells, prototypes and repeats above which there are fewer repeats, to keep them short of the training."""


def stability(
    adata: AnnData, model: SCPROTO, n_repeats: int | None = None, *, others: Iterable[SCPROTO] | None = None
) -> pd.Series[float]:
    """Find the metacells that another seed would not give.

    By default, the last step of the training, a k-means from a random start, is repeated with other seeds. This takes a
    small share of the training, but another training changes more. Give other models to compare with whole trainings.

    :func:`scproto.tl.check` and the report then tell how stable the metacells are, from
    ``uns["scproto"]["stability"]``: ``agreement`` (mean adjusted mutual information; 1: the same metacells, 0: no more
    alike than by chance), ``n_others``, ``trained`` (whether these are other trainings), and ``metacell`` and
    ``overlap``, the names and values of the result.

    Parameters
    ----------
    adata
        The cells that the model was trained on, after :func:`scproto.tl.assign_metacells`, at any level. Changed in
        place.
    model
        The trained model.
    n_repeats
        Number of repeats of the last k-means; by default 4, and down to 1 if there are many cells and prototypes.
    others
        Models with other seeds, trained on the same cells, to compare with instead. They are used one at a time, so
        that an iterator may train them on demand.

    Returns
    -------
    overlap : pandas.Series
        For each metacell that has cells, the largest Jaccard overlap of its cells with a metacell of each other
        assignment, averaged over these, in (0, 1]; see :func:`scproto.metrics.best_overlap`. Its index has the names
        of the metacells, so that ``metacells.obs["stability"] = overlap`` adds it to the table.

    Raises
    ------
    InputError
        If the cells were not assigned, a model is not trained or has fewer prototypes than there are metacells,
        `n_repeats` is not a whole number of at least 1, or `others` is empty.

    Examples
    --------
    >>> scproto.tl.stability(adata, model)
    >>> print(scproto.tl.check(adata))
    """
    if _keys.METACELL not in adata.obs:
        raise InputError("The cells have no metacells to compare: run scproto.tl.assign_metacells(adata, model) first.")
    n = int(_keys.record_of(adata)["n_metacells"])
    if n_repeats is None:
        n_repeats = min(N_REPEATS, 1 + WORK // (adata.n_obs * len(model.prototypes)))
    if others is None:
        placement = model.place(adata)
        seeds = [(model.seed + i) % (MAX_SEED + 1) for i in range(1, check_whole("n_repeats", n_repeats) + 1)]
        found = [placement.restart(n, seed) for seed in seeds]
    else:
        found = [placement.assign(placement.level(n)).metacell for placement in (m.place(adata) for m in others)]
    codes, names = pd.factorize(adata.obs[_keys.METACELL], sort=True)
    overlap = pd.Series(best_overlap(codes, found), index=names.astype(object), name=_keys.STABILITY)
    adata.uns[_keys.UNS][_keys.STABILITY] = {
        "agreement": agreement(codes, found),
        "n_others": len(found),
        "trained": others is not None,
        "metacell": np.asarray(names.astype(object)),
        "overlap": overlap.to_numpy(),
    }
    return overlap


def recorded(adata: AnnData) -> dict[str, Any]:
    """What :func:`stability` recorded, with ``overlap`` as a series by the metacells that have cells; or empty."""
    found = _keys.record_of(adata).get(_keys.STABILITY)
    if found is None:
        return {}
    overlap = pd.Series(np.asarray(found["overlap"]), index=np.asarray(found["metacell"]), name=_keys.STABILITY)
    used = pd.factorize(adata.obs[_keys.METACELL], sort=True)[1]
    return {**found, "overlap": overlap.reindex(used.astype(object))}
