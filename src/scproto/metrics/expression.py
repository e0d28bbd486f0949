"""Normalised expression, computed by scanpy, for the scores that need it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from .. import _scanpy
from ..counts import canonical

N_VARIABLE_GENES = 2000
"""Number of highly variable genes, as in mcRigor and in :func:`scproto.pp.prepare`."""


def log1p_cp10k(counts: ArrayLike | sparse.spmatrix | sparse.sparray) -> sparse.csr_matrix:
    """Scale counts to 10,000 per cell and take log1p.

    Parameters
    ----------
    counts
        Counts ``(n_cells, n_genes)``, dense or sparse.

    Returns
    -------
    expression : scipy.sparse.csr_matrix
        log1p CP10k, ``(n_cells, n_genes)``; cells without counts stay zero.
    """
    x = canonical(counts if hasattr(counts, "dtype") else np.asarray(counts), "The matrix of counts")
    return _scanpy.log1p_cp10k(x)


def variable_genes(expression: sparse.csr_matrix, n_genes: int = N_VARIABLE_GENES) -> NDArray[np.bool_]:
    """Mask of the highly variable genes of log1p CP10k, ``(n_genes,)``; all genes if there are at most `n_genes`."""
    if expression.shape[1] <= n_genes:
        return np.ones(expression.shape[1], dtype=bool)
    return _scanpy.variable_genes(expression, n_genes)
