"""Cells kept in the memory of a GPU, where minibatches are gathered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..counts.normalise import BLOCK_CELLS
from .minibatch import Minibatch, normalise
from .sampler import Request
from .source import CellSource


class DeviceCells:
    """Counts on a device, which gathers them into dense minibatches; a :class:`scproto.data.source.CellSource`.

    The counts stay sparse until a minibatch is gathered. Only the indices of its cells and genes are sent to the
    device. The host knows how many stored counts each cell has, so it never waits for the device.

    Parameters
    ----------
    source
        The cells to copy to the device.
    device
        Device that holds the counts, at 12 bytes per stored count.
    """

    def __init__(self, source: CellSource, device: torch.device) -> None:
        self.n_genes, self.batch, self.library = source.n_genes, source.batch, source.library
        self._device = device
        degree, indices, counts, x = [], [], [], []
        for cells, block in source.blocks(BLOCK_CELLS):
            degree.append(np.diff(block.indptr).astype(np.int64))
            indices.append(self._put(block.indices))
            counts.append(self._put(block.data.astype(np.float32, copy=False)))
            x.append(self._put(normalise(block, source.library[cells]).data))
        self._host_degree = np.concatenate(degree)
        self._degree = self._put(self._host_degree)
        self._start = self._degree.cumsum(0) - self._degree
        self._indices, self._counts, self._x = torch.cat(indices), torch.cat(counts), torch.cat(x)
        self._library, self._batch = self._put(self.library), self._put(self.batch)

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self._host_degree)

    def take(self, rows: NDArray[np.int64]) -> sp.csr_matrix:
        """Counts of some cells in the requested order, ``(n_rows, n_genes)``, in the memory of the host."""
        degree = self._host_degree[rows]
        _, entry = self._entries(self._put(rows), int(degree.sum()))
        values = self._counts[entry].cpu().numpy(), self._indices[entry].cpu().numpy(), np.append(0, np.cumsum(degree))
        return sp.csr_matrix(values, (len(rows), self.n_genes))

    def blocks(self, n: int) -> Iterator[tuple[slice, sp.csr_matrix]]:
        """Yield all cells in their order, at most `n` at a time."""
        for start in range(0, self.n_cells, n):
            cells = slice(start, min(start + n, self.n_cells))
            yield cells, self.take(np.arange(cells.start, cells.stop))

    def gather(self, request: Request) -> Minibatch:
        """Gather the cells of all views at once, into dense tensors on the device."""
        views, genes = self._put(request.views), self._put(request.genes)
        n_cells, degree = request.views.shape[1], self._host_degree[request.views]
        row, entry = self._entries(views.flatten(), int(degree.sum()))
        column = self._indices[entry].long()
        x = self._x.new_zeros(views.numel(), self.n_genes)
        x[row, column] = self._x[entry]
        own = slice(int(degree[0].sum()))  # the anchors come first
        counts = self._x.new_zeros(n_cells, self.n_genes)
        counts[row[own], column[own]] = self._counts[entry[own]]
        return Minibatch(
            x=x,
            x_transposed=None,
            batch=self._batch[views],
            genes=genes,
            rows=None,
            columns=None,
            counts=counts[:, genes],
            library=self._library[views[0]],
        )

    def _entries(self, cells: Tensor, n_entries: int) -> tuple[Tensor, Tensor]:
        """Row in the minibatch, and place in memory, of each stored count of some cells; both ``(n_entries,)``."""
        degree = self._degree[cells]
        row = torch.repeat_interleave(degree, output_size=n_entries)
        before = self._start[cells] - (degree.cumsum(0) - degree)
        return row, torch.arange(n_entries, device=row.device) + before[row]

    def _put(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device, non_blocking=True)
