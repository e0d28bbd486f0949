"""Cells whose counts are in memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..counts.normalise import library_size


class MemoryCells:
    """Counts in memory; a :class:`scproto.data.source.CellSource`.

    Parameters
    ----------
    counts
        Counts of any numeric type, CSR ``(n_cells, n_genes)``.
    batch
        Batch of each cell, integers ``(n_cells,)``.
    """

    def __init__(self, counts: sp.csr_matrix, batch: NDArray[np.int64]) -> None:
        self.counts = counts
        self.batch = batch

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return self.counts.shape[0]

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return self.counts.shape[1]

    @cached_property
    def library(self) -> NDArray[np.float32]:
        """Total count of each cell over these genes, at least one, ``(n_cells,)``."""
        return library_size(self.counts)

    def take(self, rows: NDArray[np.int64] | slice) -> sp.csr_matrix:
        """Counts of some cells in the requested order, ``(n_rows, n_genes)``."""
        return self.counts[rows]

    def blocks(self, n: int) -> Iterator[tuple[slice, sp.csr_matrix]]:
        """Yield all cells in their order, at most `n` at a time."""
        for start in range(0, self.n_cells, n):
            cells = slice(start, min(start + n, self.n_cells))
            yield cells, self.take(cells)
