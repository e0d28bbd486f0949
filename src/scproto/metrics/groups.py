"""Cells by metacell, label or batch: names to numbers, with one sentence when they do not fit."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from .._errors import InputError
from ..counts import canonical

logger = logging.getLogger(__name__)


def group_codes(names: ArrayLike, n_cells: int, what: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Number the groups that hold a cell, in the order of their names.

    Parameters
    ----------
    names
        Group of each cell, ``(n_cells,)``.
    n_cells
        Number of cells that there must be.
    what
        What the groups are, for messages: ``metacell``, ``label`` or ``batch``.

    Returns
    -------
    Codes ``(n_cells,)`` without gaps and the sorted names ``(n_groups,)``.

    Raises
    ------
    InputError
        If there is not one name for each cell, or no cell.
    """
    names = np.asarray(names)
    if names.shape != (n_cells,) or not n_cells:
        raise InputError(f"There are {n_cells} cells, and the {what} has shape {names.shape}: give one for every cell.")
    codes, unique = pd.factorize(names, sort=True)
    missing = int((codes < 0).sum())
    if missing:
        raise InputError(f"{missing} of {n_cells} cells lack a {what}: score only the cells that have one.")
    return codes.astype(np.int64), np.asarray(unique)


def membership(codes: NDArray[np.integer], n_groups: int = 0) -> sparse.csr_matrix:
    """One-hot table of the groups, ``(n_groups, n_cells)``: its product with values of cells sums them by group.

    There are `n_groups` groups, or as many as the codes tell if that is more.
    """
    shape = (len(np.bincount(codes, minlength=n_groups)), len(codes))
    return sparse.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=shape)


def group_means(
    x: NDArray[np.float64], codes: NDArray[np.integer], n_groups: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean of the cells of each group, ``(n_groups, n_dims)``, 0 for one without cells, and their number."""
    sizes = np.bincount(codes, minlength=n_groups)
    return membership(codes, n_groups) @ x / np.maximum(sizes, 1)[:, None], sizes


def finite_matrix(x: Any, what: str) -> NDArray[np.float64]:
    """Return a dense table ``(n_cells, n_dims)`` of floats.

    Raises
    ------
    InputError
        If it has another number of axes, or holds NaN or infinite values.
    """
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2:
        raise InputError(f"The {what} has shape {x.shape}: give (n_cells, n_dims).")
    if not np.isfinite(x).all():
        raise InputError(f"The {what} holds NaN or infinite values: leave these cells out.")
    return x


def gene_matrix(x: Any) -> sparse.csr_matrix:
    """Return expression ``(n_cells, n_genes)`` as a sparse matrix of float64.

    Raises
    ------
    InputError
        If it has another number of axes, or holds negative, NaN or infinite values.
    """
    if getattr(x, "ndim", 0) != 2:
        raise InputError(f"The expression has shape {np.shape(x)}: give (n_cells, n_genes).")
    x = canonical(x if hasattr(x, "dtype") else np.asarray(x), "The expression").astype(np.float64, copy=False)
    if not np.isfinite(x.data).all() or (x.data < 0).any():
        raise InputError("The expression holds negative, NaN or infinite values: give counts or log1p CP10k.")
    return x


def finite_scores(scores: dict[str, float]) -> dict[str, float]:
    """Leave out the scores that could not be computed (NaN), and say so in the log."""
    finite = {name: score for name, score in scores.items() if np.isfinite(score)}
    if left_out := [name for name in scores if name not in finite]:
        logger.info("Left out, as these cells do not tell: %s.", ", ".join(left_out))
    return finite
