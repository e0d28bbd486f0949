"""Cells whose genes are matched to those of a model as they are read."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..counts.normalise import BLOCK_CELLS, library_size
from ..inputs.genes import GeneMatch
from .memory import MemoryCells


class QueryCells(MemoryCells):
    """Counts of a query in memory, with genes of its own; a :class:`scproto.data.source.CellSource`.

    The genes of the model are selected block by block, so that the counts are never held twice.

    Parameters
    ----------
    counts
        Counts of the query's genes, CSR ``(n_cells, n_query_genes)``.
    match
        Which of them are genes of the model.
    batch
        Batch of each cell, integers ``(n_cells,)``.
    """

    def __init__(self, counts: sp.csr_matrix, match: GeneMatch, batch: NDArray[np.int64]) -> None:
        super().__init__(counts, batch)
        self.match = match

    @property
    def n_genes(self) -> int:
        """Number of genes of the model."""
        return len(self.match.present)

    @cached_property
    def library(self) -> NDArray[np.float32]:
        """Total count of each cell over the genes of the model, at least one, ``(n_cells,)``."""
        return np.concatenate([library_size(counts) for _, counts in self.blocks(BLOCK_CELLS)])

    def take(self, rows: NDArray[np.int64] | slice) -> sp.csr_matrix:
        """Counts of some cells in the requested order, ``(n_rows, n_genes)``."""
        return self.match.select(super().take(rows))
