"""Normalised expression: arrays in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .values import BLOCK_VALUES

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
        library = library_size(counts)
    x = sp.csr_matrix((counts.data.astype(np.float32), counts.indices, counts.indptr), counts.shape)
    scale_cells(x, 1e4 / library)
    np.log1p(x.data, out=x.data)
    return x, library


def library_size(counts: sp.csr_matrix) -> NDArray[np.float32]:
    """Counts of each cell over these genes, at least one, ``(n_cells,)``."""
    return np.maximum(row_sums(counts.data, counts.indptr), np.float32(1.0))


def row_sums(values: NDArray[Any], indptr: NDArray[np.integer]) -> NDArray[np.float32]:
    """Sum of the stored values of each row, ``(n_rows,)``; by blocks, as they are copied as floats to be summed."""
    sums = np.zeros(len(indptr) - 1, np.float32)
    for start in range(0, len(sums), BLOCK_CELLS):
        until = indptr[start : start + BLOCK_CELLS + 1]
        some = np.flatnonzero(np.diff(until))
        block = values[until[0] : until[-1]]
        sums[start + some] = np.add.reduceat(block, until[some] - until[0], dtype=np.float32)
    return sums


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
