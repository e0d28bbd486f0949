"""Normalised expression: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ._counts import BLOCK_VALUES

BLOCK_CELLS = 4096
"""Cells worked on at a time, where a temporary array holds a value for each of their counts."""


def log1p_cp10k(
    counts: sp.csr_matrix, library: NDArray[np.float32] | None = None
) -> tuple[sp.csr_matrix, NDArray[np.float32]]:
    """log1p of the counts of each cell scaled to 10,000, and the counts of each cell, at least one.

    A cell without a count stays a row of zeros. The result has new values, float32, but shares its structure with the
    counts, so that the indices of all cells are held once. Where only some genes are given, `library` tells the counts
    of each cell over all of them, ``(n_cells,)``.
    """
    if library is None:
        library = np.maximum(np.asarray(counts.sum(1), np.float32).ravel(), 1.0)
    x = sp.csr_matrix((counts.data.astype(np.float32), counts.indices, counts.indptr), counts.shape)
    scale_cells(x, 1e4 / library)
    np.log1p(x.data, out=x.data)
    return x, library


def scale_cells(x: sp.csr_matrix, scale: NDArray[np.floating]) -> None:
    """Multiply each cell, ``(n_cells,)``, in place; by blocks, as the factors of all entries are as large as `x`."""
    for start in range(0, x.shape[0], BLOCK_CELLS):
        indptr = x.indptr[start : start + BLOCK_CELLS + 1]
        x.data[indptr[0] : indptr[-1]] *= np.repeat(scale[start : start + BLOCK_CELLS], np.diff(indptr))


def scale_genes(x: sp.csr_matrix, scale: NDArray[np.floating]) -> None:
    """Multiply each gene, ``(n_genes,)``, in place; by blocks, as the factors of all entries are thrice `x`."""
    scale = scale.astype(x.dtype)
    for start in range(0, x.nnz, BLOCK_VALUES):
        block = slice(start, start + BLOCK_VALUES)
        x.data[block] *= scale[x.indices[block]]
