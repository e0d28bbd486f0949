"""Lightning data module: minibatches of views from counts in memory."""

from __future__ import annotations

import lightning.pytorch as lightning
import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from .minibatch import Minibatch, encoder_input, make_minibatch
from .views import ViewSampler


class CellViews(Dataset[Minibatch]):
    """Counts of the model's genes, read by whole index arrays.

    Parameters
    ----------
    counts
        CSR ``(n_cells, n_genes)``.
    batch
        Batch of each cell, integers ``(n_cells,)``.
    """

    def __init__(self, counts: sp.csr_matrix, batch: NDArray[np.int64]) -> None:
        self.counts = counts
        self.batch = batch

    def __len__(self) -> int:
        return self.counts.shape[0]

    def __getitem__(self, views: NDArray[np.int64]) -> Minibatch:
        """Minibatch of the cells ``views``, ``(n_views, n_cells)``."""
        return make_minibatch(self.counts, self.batch, views)

    def inputs(self, start: int, n_cells: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Encoder's input of consecutive cells, and its transpose."""
        x, x_transposed = encoder_input(self.counts[start : start + n_cells])
        return x.to(device), x_transposed.to(device)


class ViewDataModule(lightning.LightningDataModule):
    """Joins what to read (a sampler of views) with how to read it (counts in memory)."""

    def __init__(self, cells: CellViews, sampler: ViewSampler) -> None:
        super().__init__()
        self.cells = cells
        self.sampler = sampler

    def train_dataloader(self) -> DataLoader[Minibatch]:
        """Minibatches of one epoch. ``batch_size=None``: the sampler's arrays reach the data set whole."""
        return DataLoader(self.cells, sampler=self.sampler, batch_size=None)

    def transfer_batch_to_device(self, batch: Minibatch, device: torch.device, dataloader_idx: int) -> Minibatch:
        """Move a minibatch; Lightning's own search for tensors in it costs as much as a layer."""
        return batch.to(device, non_blocking=True)
