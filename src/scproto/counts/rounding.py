"""Rounding of fractional counts to whole counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from .values import blocks_of_rows


def round_near(x: sp.csr_matrix) -> sp.csr_matrix:
    """Round each value to the nearest whole number and drop zeros, in a new matrix."""
    rounded = sp.csr_matrix((np.rint(x.data), x.indices.copy(), x.indptr.copy()), x.shape)
    rounded.eliminate_zeros()
    return rounded


def round_stochastically(x: sp.csr_matrix, seed: int) -> sp.csr_matrix:
    """Round each value up with a probability equal to its fraction, else down, which keeps the expected value.

    Rounding to the nearest whole number would remove faint genes, such as one with 0.3 counts in each of many cells.
    The random numbers are hashes of the seed and of all values of the cell. Each cell is therefore rounded in the same
    way in the whole data set, in a subset and in any order.

    Parameters
    ----------
    x
        Canonical matrix without negative values, ``(n_cells, n_genes)``. It is not modified.
    seed
        Seed of the random numbers.

    Returns
    -------
    rounded : scipy.sparse.csr_matrix
        Whole numbers in canonical form, ``(n_cells, n_genes)``.
    """
    rounded = x.copy()
    for rows in blocks_of_rows(x):
        start, end = x.indptr[rows.start], x.indptr[rows.stop]
        values = rounded.data[start:end]
        floor = np.floor(values)
        until = x.indptr[rows.start : rows.stop + 1] - start
        rounded.data[start:end] = floor + (_uniform(values, x.indices[start:end], until, seed) < values - floor)
    rounded.eliminate_zeros()
    return rounded


def _uniform(
    values: NDArray[np.floating], columns: NDArray[np.integer], indptr: NDArray[np.integer], seed: int
) -> NDArray[np.float64]:
    """A random number in [0, 1) for each entry, which depends only on the seed and the contents of its row."""
    bits = values.astype(np.float64).view(np.uint64)
    entries = _hash(bits ^ _hash(columns.astype(np.uint64) + np.uint64(1)))
    degree = np.diff(indptr)
    some = np.flatnonzero(degree)
    of_row = np.add.reduceat(entries, indptr[some]) if len(some) else entries  # modulo 2**64, in any order
    key = _hash(of_row ^ _hash(np.array([seed], np.uint64)))
    drawn: NDArray[np.uint64] = _hash(entries ^ np.repeat(key, degree[some])) >> np.uint64(11)
    return drawn.astype(np.float64) * 2.0**-53


def _hash(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return pd.util.hash_array(numbers)
