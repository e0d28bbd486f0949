"""Summary of the values of a matrix, in one pass, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

BLOCK_VALUES = 1 << 21
"""Number of stored values per block: 8 to 16 MB, plus a few copies."""

NEAR = 1e-3
"""Largest distance to a whole number that counts as a rounding error."""

NEAR_RELATIVE = 1e-6
"""Additional tolerance as a share of the value: single precision has about seven digits."""


@dataclass(frozen=True)
class Values:
    """Summary of the values of a matrix."""

    lowest: float
    """Smallest value, at most 0; NaN if any value is."""
    highest: float
    """Largest value, at least 0; NaN if any value is."""
    whole: bool
    """Whether every value is a whole number."""
    nearly_whole: bool
    """Whether every value is a whole number up to a rounding error."""
    cell_totals: NDArray[np.float64]
    """Sum of each row, ``(n_cells,)``."""
    varies: bool
    """Whether some column holds two different values."""


def examine(x: sp.csr_matrix) -> Values:
    """Summarise all values of a canonical matrix, ``(n_cells, n_genes)``."""
    lowest, highest, whole, nearly, varies = 0.0, 0.0, True, True, False
    totals = np.zeros(x.shape[0])
    first = x[:1].toarray()[0]
    with np.errstate(all="ignore"):  # NaN and inf are for the caller to report
        for rows in blocks_of_rows(x):
            block = x[rows]
            values = block.data
            lowest, highest = np.minimum(lowest, values.min(initial=0)), np.maximum(highest, values.max(initial=0))
            if nearly and values.dtype.kind == "f":
                distance = np.abs(values - np.rint(values))
                whole = whole and not distance.any()
                nearly = whole or bool((distance <= NEAR + NEAR_RELATIVE * values).all())
            totals[rows] = np.ravel(block.sum(axis=1, dtype=np.float64))
            varies = varies or _differs(block, first)
    return Values(float(lowest), float(highest), whole, nearly, totals, varies)


def blocks_of_rows(x: sp.csr_matrix) -> Iterator[slice]:
    """Yield slices of rows with about :data:`BLOCK_VALUES` stored values each."""
    step = max(1, int(BLOCK_VALUES / max(1, x.nnz / x.shape[0])))
    for start in range(0, x.shape[0], step):
        yield slice(start, min(start + step, x.shape[0]))


def _differs(block: sp.csr_matrix, row: NDArray[np.number]) -> bool:
    """Whether any row of the block differs from the given row."""
    lowest, highest = (extreme.toarray().ravel() for extreme in (block.min(axis=0), block.max(axis=0)))
    return bool((lowest != row).any() or (highest != row).any())
