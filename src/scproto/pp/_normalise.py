"""Normalised expression: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ._counts import BLOCK_VALUES


def log1p_cp10k(counts: sp.csr_matrix) -> tuple[sp.csr_matrix, NDArray[np.float32]]:
    """log1p of the counts of each cell scaled to 10,000, and the counts of each cell, at least one.

    A cell without a count stays a row of zeros. The result has new values, float32, but shares its structure with the
    counts, so that the indices of all cells are held once.
    """
    from sklearn.preprocessing import normalize

    library = np.maximum(np.asarray(counts.sum(1), np.float32).ravel(), 1.0)
    x = sp.csr_matrix((counts.data.astype(np.float32), counts.indices, counts.indptr), counts.shape)
    normalize(x, norm="l1", copy=False)
    x.data *= 1e4
    np.log1p(x.data, out=x.data)
    return x, library


def scale_genes(x: sp.csr_matrix, scale: NDArray[np.floating]) -> None:
    """Multiply each gene, ``(n_genes,)``, in place; by blocks, as the factors of all entries are thrice `x`."""
    scale = scale.astype(x.dtype)
    for start in range(0, x.nnz, BLOCK_VALUES):
        block = slice(start, start + BLOCK_VALUES)
        x.data[block] *= scale[x.indices[block]]
