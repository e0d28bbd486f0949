"""Lightning data module: minibatches of views from counts in memory."""

from __future__ import annotations

from functools import cached_property

import lightning.pytorch as lightning
import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from .minibatch import Minibatch, counts_of_genes, encoder_input, normalise
from .resident import ResidentCells
from .views import Request, ViewSampler


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

    @cached_property
    def _normalised(self) -> tuple[sp.csr_matrix, NDArray[np.float32]]:
        """Computed once, and not where the counts alone are asked for."""
        return normalise(self.counts)

    @property
    def x(self) -> sp.csr_matrix:
        """Input of the encoder: log1p CP10k of unit norm, CSR ``(n_cells, n_genes)``."""
        return self._normalised[0]

    @property
    def library(self) -> NDArray[np.float32]:
        """Counts of each cell over these genes, at least one, ``(n_cells,)``."""
        return self._normalised[1]

    def __len__(self) -> int:
        return self.counts.shape[0]

    def __getitem__(self, request: Request) -> Minibatch:
        """Gather the cells of all views at once."""
        views, genes = request
        x, x_transposed = encoder_input(self.x[views.ravel()])
        rows, columns, counts = counts_of_genes(self.counts[views[0]], genes)
        return Minibatch(
            x=x,
            x_transposed=x_transposed,
            batch=torch.from_numpy(self.batch[views]),
            genes=torch.from_numpy(genes),
            rows=torch.from_numpy(rows),
            columns=torch.from_numpy(columns),
            counts=torch.from_numpy(counts),
            library=torch.from_numpy(self.library[views[0]]),
        )

    @property
    def gene_share(self) -> NDArray[np.float32]:
        """Share of each gene in the counts of a cell, mean over the cells, ``(n_genes,)``."""
        return (self.counts.T @ (1 / self.library)) / len(self)

    def inputs(self, start: int, n_cells: int, device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Encoder's input of consecutive cells, and its transpose; on a GPU dense, and so without."""
        if "_normalised" in vars(self):
            x = self.x[start : start + n_cells]
        else:  # those of all cells are kept where they are trained on
            x, _ = normalise(self.counts[start : start + n_cells])
        return encoder_input(x) if device.type == "cpu" else (torch.from_numpy(x.toarray()).to(device), None)


class ViewDataModule(lightning.LightningDataModule):
    """Joins what to read (a sampler of views) with how to read it (counts in memory)."""

    def __init__(self, cells: CellViews, sampler: ViewSampler) -> None:
        super().__init__()
        self.cells = cells
        self.sampler = sampler

    def train_dataloader(self) -> DataLoader[Minibatch]:
        """Minibatches of one epoch, made where the trainer trains."""
        assert self.trainer is not None, "the trainer asks for it"
        return self.loader(self.trainer.strategy.root_device)

    def loader(self, device: torch.device) -> DataLoader[Minibatch]:
        """Minibatches of one epoch on a device. ``batch_size=None``: the sampler's arrays reach the cells whole."""
        cells: Dataset[Minibatch] = self.cells if device.type == "cpu" else ResidentCells(self.cells, device)
        return DataLoader(cells, sampler=self.sampler, batch_size=None)

    def transfer_batch_to_device(self, batch: Minibatch, device: torch.device, dataloader_idx: int) -> Minibatch:
        """Move a minibatch; Lightning's own search for tensors in it costs as much as a layer."""
        return batch.to(device, non_blocking=True)
