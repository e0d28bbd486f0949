"""Whole counts out of fractional ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from .values import blocks_of_rows


def round_near(x: sp.csr_matrix) -> sp.csr_matrix:
    """Round each value to the next whole number; those that become zero are left out. `x` stays as it is."""
    rounded = sp.csr_matrix((np.rint(x.data), x.indices.copy(), x.indptr.copy()), x.shape)
    rounded.eliminate_zeros()
    return rounded


def round_stochastically(x: sp.csr_matrix, seed: int) -> sp.csr_matrix:
    """Round each value up with the probability of its fraction, else down, so that its mean is the value.

    Rounding to the next whole number would take the faint genes away: those with 0.3 counts in each of many cells. The
    random numbers are hashes of the seed and of all values of the cell. A cell is therefore rounded alike wherever it
    stands: in the whole data, in a part of them, or in another order.

    Parameters
    ----------
    x
        Canonical, not negative, ``(n_cells, n_genes)``. It stays as it is.
    seed
        Of the random numbers.

    Returns
    -------
    Whole numbers, canonical, ``(n_cells, n_genes)``.
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
    """A random number in [0, 1) for each entry of some rows, by the seed and by what the row holds."""
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
