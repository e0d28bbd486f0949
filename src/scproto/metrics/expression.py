"""Normalised expression for the scores that need it, by scanpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from ..counts import canonical

N_VARIABLE_GENES = 2000
"""As in mcRigor and in :func:`scproto.pp.prepare`."""


def log1p_cp10k(counts: ArrayLike | sparse.spmatrix | sparse.sparray) -> sparse.csr_matrix:
    """Scale counts ``(n_cells, n_genes)`` to 10,000 a cell, then log1p; cells without counts stay zero."""
    import scanpy as sc
    from anndata import AnnData

    x = canonical(counts if hasattr(counts, "dtype") else np.asarray(counts), "The matrix of counts")
    cells = AnnData(x.astype(np.float32))
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    return sparse.csr_matrix(cells.X)


def variable_genes(expression: sparse.csr_matrix, n_genes: int = N_VARIABLE_GENES) -> NDArray[np.bool_]:
    """Mask of the highly variable genes of log1p CP10k, ``(n_genes,)``; all if there are no more than wanted."""
    import scanpy as sc
    from anndata import AnnData

    if expression.shape[1] <= n_genes:
        return np.ones(expression.shape[1], dtype=bool)
    cells = AnnData(expression)
    sc.pp.highly_variable_genes(cells, n_top_genes=n_genes)
    genes: NDArray[np.bool_] = cells.var["highly_variable"].to_numpy()
    return genes
