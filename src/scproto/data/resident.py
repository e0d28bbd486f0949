"""Cells in the memory of a GPU, from which minibatches are gathered there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from .minibatch import Minibatch
from .views import Request

if TYPE_CHECKING:
    from .module import CellViews


class ResidentCells(Dataset[Minibatch]):
    """Counts of the model's genes on a device that makes dense minibatches of them.

    The counts stay sparse until a minibatch is gathered; only the indices of its cells and genes are sent. How many
    counts it has is known to the host, so that nothing waits for the device.

    Parameters
    ----------
    cells
        The cells in the memory of the host.
    device
        Where to put them: 12 bytes a stored count.
    """

    def __init__(self, cells: CellViews, device: torch.device) -> None:
        self.n_genes = cells.counts.shape[1]
        self._device = device
        indptr = cells.counts.indptr.astype(np.int64)
        self._host_degree = np.diff(indptr)
        self.start, self.degree = self._put(indptr[:-1]), self._put(self._host_degree)
        self.indices = self._put(cells.counts.indices)
        self.counts = self._put(cells.counts.data.astype(np.float32, copy=False))
        self.x = self._put(cells.x.data)  # its structure is that of the counts
        self.library = self._put(cells.library)
        self.batch = self._put(cells.batch)

    def __len__(self) -> int:
        return len(self.degree)

    def __getitem__(self, request: Request) -> Minibatch:
        """Gather the cells of all views at once."""
        views, genes = self._put(request.views), self._put(request.genes)
        n_cells, degree = request.views.shape[1], self._host_degree[request.views]
        row, entry = self._entries(views.flatten(), int(degree.sum()))
        column = self.indices[entry].long()
        x = self.x.new_zeros(views.numel(), self.n_genes)
        x[row, column] = self.x[entry]
        own = slice(int(degree[0].sum()))  # the anchors come first
        counts = self.x.new_zeros(n_cells, self.n_genes)
        counts[row[own], column[own]] = self.counts[entry[own]]
        return Minibatch(
            x=x,
            x_transposed=None,
            batch=self.batch[views],
            genes=genes,
            rows=None,
            columns=None,
            counts=counts[:, genes],
            library=self.library[views[0]],
        )

    def _entries(self, cells: Tensor, n_entries: int) -> tuple[Tensor, Tensor]:
        """Of each stored count of some cells the row in the minibatch, and where it is stored; ``(n_entries,)``."""
        degree = self.degree[cells]
        row = torch.repeat_interleave(degree, output_size=n_entries)
        before = self.start[cells] - (degree.cumsum(0) - degree)
        return row, torch.arange(n_entries, device=row.device) + before[row]

    def _put(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device, non_blocking=True)
