"""Normalisation of expression: arrays in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .values import BLOCK_VALUES

BLOCK_CELLS = 4096
"""Number of cells per block where a temporary array holds one value per stored count."""


def log1p_cp10k(
    counts: sp.csr_matrix, library: NDArray[np.float32] | None = None
) -> tuple[sp.csr_matrix, NDArray[np.float32]]:
    """Scale the counts of each cell to 10,000 and take log1p.

    Cells without counts stay zero. The result shares its indices with `counts`, to save memory.

    Parameters
    ----------
    counts
        Counts, ``(n_cells, n_genes)``.
    library
        Library size of each cell, ``(n_cells,)``, if `counts` has only some of the genes; by default the sum over
        `counts`.

    Returns
    -------
    x : scipy.sparse.csr_matrix
        log1p CP10k, float32, ``(n_cells, n_genes)``.
    library : numpy.ndarray
        Library size of each cell, at least one, ``(n_cells,)``.
    """
    if library is None:
        library = library_size(counts)
    x = sp.csr_matrix((counts.data.astype(np.float32), counts.indices, counts.indptr), counts.shape)
    scale_cells(x, 1e4 / library)
    np.log1p(x.data, out=x.data)
    return x, library


def library_size(counts: sp.csr_matrix) -> NDArray[np.float32]:
    """Total counts of each cell over these genes, at least one, ``(n_cells,)``."""
    return np.maximum(row_sums(counts.data, counts.indptr), np.float32(1.0))


def row_sums(values: NDArray[Any], indptr: NDArray[np.integer]) -> NDArray[np.float32]:
    """Sum of the stored values of each row, ``(n_rows,)``; in blocks, because summing copies the values as floats."""
    sums = np.zeros(len(indptr) - 1, np.float32)
    for start in range(0, len(sums), BLOCK_CELLS):
        until = indptr[start : start + BLOCK_CELLS + 1]
        some = np.flatnonzero(np.diff(until))
        block = values[until[0] : until[-1]]
        sums[start + some] = np.add.reduceat(block, until[some] - until[0], dtype=np.float32)
    return sums


def scale_cells(x: sp.csr_matrix, scale: NDArray[np.floating]) -> None:
    """Multiply each cell by its factor, in place.

    The blocks save memory: the factors repeated for each entry take as much as `x`.
    """
    for start in range(0, x.shape[0], BLOCK_CELLS):
        indptr = x.indptr[start : start + BLOCK_CELLS + 1]
        x.data[indptr[0] : indptr[-1]] *= np.repeat(scale[start : start + BLOCK_CELLS], np.diff(indptr))


def scale_genes(x: sp.csr_matrix, scale: NDArray[np.floating]) -> None:
    """Multiply each gene by its factor, in place.

    The blocks save memory: the factors repeated for each entry take three times as much as `x`.
    """
    scale = scale.astype(x.dtype)
    for start in range(0, x.nnz, BLOCK_VALUES):
        block = slice(start, start + BLOCK_VALUES)
        x.data[block] *= scale[x.indices[block]]
