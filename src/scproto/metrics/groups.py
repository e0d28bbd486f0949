"""Groups of cells (metacells, labels, batches) as numbers, and checks of the input of the scores."""

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
    """Number the groups that have cells, in the order of their names.

    Parameters
    ----------
    names
        Group of each cell, ``(n_cells,)``.
    n_cells
        Expected number of cells.
    what
        Kind of the groups, for messages: ``metacell``, ``label`` or ``batch``.

    Returns
    -------
    codes : numpy.ndarray
        Number of each cell's group, without gaps, ``(n_cells,)``.
    names : numpy.ndarray
        Sorted names, ``(n_groups,)``.

    Raises
    ------
    InputError
        If there is not exactly one name per cell, or there is no cell.
    """
    names = np.asarray(names)
    if names.shape != (n_cells,) or not n_cells:
        raise InputError(f"There are {n_cells} cells, but the {what} has shape {names.shape}: give one per cell.")
    codes, unique = pd.factorize(names, sort=True)
    missing = int((codes < 0).sum())
    if missing:
        raise InputError(f"{missing} of {n_cells} cells lack a {what}: score only the cells that have one.")
    return codes.astype(np.int64), np.asarray(unique)


def membership(codes: NDArray[np.integer], n_groups: int = 0) -> sparse.csr_matrix:
    """One-hot table of the groups, ``(n_groups, n_cells)``; its product with values of the cells sums them by group.

    The table has `n_groups` rows, or more if the codes go beyond them.
    """
    shape = (len(np.bincount(codes, minlength=n_groups)), len(codes))
    return sparse.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=shape)


def group_means(
    x: NDArray[np.float64], codes: NDArray[np.integer], n_groups: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean ``(n_groups, n_dims)`` and number ``(n_groups,)`` of the cells of each group; both 0 where it is empty."""
    sizes = np.bincount(codes, minlength=n_groups)
    return membership(codes, n_groups) @ x / np.maximum(sizes, 1)[:, None], sizes


def finite_matrix(x: Any, what: str) -> NDArray[np.float64]:
    """Return `x` as a dense table ``(n_cells, n_dims)`` of floats.

    Raises
    ------
    InputError
        If `x` does not have two axes, or has NaN or infinite values.
    """
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2:
        raise InputError(f"The {what} has shape {x.shape}: give (n_cells, n_dims).")
    if not np.isfinite(x).all():
        raise InputError(f"The {what} has NaN or infinite values: leave out the cells that have them.")
    return x


def gene_matrix(x: Any) -> sparse.csr_matrix:
    """Return expression ``(n_cells, n_genes)`` as a sparse matrix of float64.

    Raises
    ------
    InputError
        If `x` does not have two axes, or has negative, NaN or infinite values.
    """
    if getattr(x, "ndim", 0) != 2:
        raise InputError(f"The expression has shape {np.shape(x)}: give (n_cells, n_genes).")
    x = canonical(x if hasattr(x, "dtype") else np.asarray(x), "The expression").astype(np.float64, copy=False)
    if not np.isfinite(x.data).all() or (x.data < 0).any():
        raise InputError("The expression has negative, NaN or infinite values: give counts or log1p CP10k.")
    return x


def finite_scores(scores: dict[str, float]) -> dict[str, float]:
    """Leave out the scores that could not be computed (NaN), and say so in the log."""
    finite = {name: score for name, score in scores.items() if np.isfinite(score)}
    if left_out := [name for name in scores if name not in finite]:
        logger.info("Scores that cannot be computed for these cells are left out: %s.", ", ".join(left_out))
    return finite
