"""Normalised expression for the scores that need it, by scanpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from .. import _scanpy
from ..counts import canonical

N_VARIABLE_GENES = 2000
"""As in mcRigor and in :func:`scproto.pp.prepare`."""


def log1p_cp10k(counts: ArrayLike | sparse.spmatrix | sparse.sparray) -> sparse.csr_matrix:
    """Scale counts ``(n_cells, n_genes)`` to 10,000 per cell, then log1p; cells without counts stay zero."""
    x = canonical(counts if hasattr(counts, "dtype") else np.asarray(counts), "The matrix of counts")
    return _scanpy.log1p_cp10k(x)


def variable_genes(expression: sparse.csr_matrix, n_genes: int = N_VARIABLE_GENES) -> NDArray[np.bool_]:
    """Mask of the highly variable genes of log1p CP10k, ``(n_genes,)``; all if there are no more than wanted."""
    if expression.shape[1] <= n_genes:
        return np.ones(expression.shape[1], dtype=bool)
    return _scanpy.variable_genes(expression, n_genes)
