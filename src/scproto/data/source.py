"""Where cells come from: what the model needs to read from any source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..counts.normalise import BLOCK_CELLS


@runtime_checkable
class CellSource(Protocol):
    """Counts and batches of cells, wherever they are stored.

    Training, embedding, metacells and denoising read cells only through this protocol. Counts in memory
    (:class:`scproto.data.memory.MemoryCells`) implement it; a file or a database can, too.

    The order of the cells never changes, and the same rows always give the same counts.
    """

    @property
    def n_cells(self) -> int:
        """Number of cells."""

    @property
    def n_genes(self) -> int:
        """Number of genes."""

    @property
    def batch(self) -> NDArray[np.int64]:
        """Batch of each cell, integers from 0, ``(n_cells,)``; batches that behave alike are one."""

    @property
    def library(self) -> NDArray[np.float32]:
        """Total count of each cell over these genes, at least one, ``(n_cells,)``."""

    def take(self, rows: NDArray[np.int64]) -> sp.csr_matrix:
        """Counts of some cells in the requested order, ``(n_rows, n_genes)``; rows may repeat."""

    def blocks(self, n: int) -> Iterator[tuple[slice, sp.csr_matrix]]:
        """Yield all cells in their order, at most `n` at a time: their positions, and counts ``(n_rows, n_genes)``."""


def gene_share(source: CellSource) -> NDArray[np.float32]:
    """Share of each gene in the counts of a cell, averaged over the cells, ``(n_genes,)``."""
    weight = (1 / source.library / source.n_cells)[np.newaxis]
    total = np.zeros(source.n_genes, np.float32)
    for cells, counts in source.blocks(BLOCK_CELLS):  # each block is copied as floats
        total += (weight[:, cells] @ counts)[0]
    return total
