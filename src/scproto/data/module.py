"""Lightning data module: minibatches of views from counts in memory."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import lightning.pytorch as lightning
import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..counts.normalise import BLOCK_CELLS, library_size
from .minibatch import Minibatch, counts_of_genes, encoder_input, normalise, training_input
from .resident import ResidentCells
from .views import Request, ViewSampler


class CellViews(Dataset[Minibatch]):
    """Counts of the model's genes, read by whole index arrays.

    Parameters
    ----------
    counts
        CSR ``(n_cells, n_genes)``, of any type.
    batch
        Batch of each cell, integers ``(n_cells,)``.
    """

    def __init__(self, counts: sp.csr_matrix, batch: NDArray[np.int64]) -> None:
        self.counts = counts
        self.batch = batch

    @property
    def x(self) -> sp.csr_matrix:
        """Input of the encoder, of all cells: log1p CP10k of unit norm, CSR ``(n_cells, n_genes)``. It is not kept."""
        return normalise(self.counts, self.library)

    @cached_property
    def library(self) -> NDArray[np.float32]:
        """Counts of each cell over these genes, at least one, ``(n_cells,)``."""
        return library_size(self.counts)

    def __len__(self) -> int:
        return self.counts.shape[0]

    def __getitem__(self, request: Request) -> Minibatch:
        """Gather the cells of all views at once."""
        views, genes = request
        gathered, library = self.counts[views.ravel()], self.library[views.ravel()]
        x, x_transposed = training_input(normalise(gathered, library))
        n_cells = views.shape[1]  # the anchors come first
        rows, columns, counts = counts_of_genes(gathered, n_cells, genes)
        return Minibatch(
            x=x,
            x_transposed=x_transposed,
            batch=torch.from_numpy(self.batch[views]),
            genes=torch.from_numpy(genes),
            rows=torch.from_numpy(rows),
            columns=torch.from_numpy(columns),
            counts=torch.from_numpy(counts),
            library=torch.from_numpy(library[:n_cells]),
        )

    @property
    def gene_share(self) -> NDArray[np.float32]:
        """Share of each gene in the counts of a cell, mean over the cells, ``(n_genes,)``."""
        weight = (1 / self.library / len(self))[np.newaxis]
        total = np.zeros(self.counts.shape[1], np.float32)
        for start in range(0, len(self), BLOCK_CELLS):  # whose counts are copied as floats
            cells = slice(start, start + BLOCK_CELLS)
            total += (weight[:, cells] @ self.counts[cells])[0]
        return total

    def inputs(self, start: int, n_cells: int, device: torch.device) -> Tensor:
        """Encoder's input of consecutive cells; on a GPU dense."""
        cells = slice(start, start + n_cells)
        x = normalise(self.counts[cells], self.library[cells])
        return encoder_input(x) if device.type == "cpu" else torch.from_numpy(x.toarray()).to(device)


class ViewDataModule(lightning.LightningDataModule):
    """Joins what to read (a sampler of views) with how to read it (counts in memory)."""

    def __init__(self, cells: CellViews, sampler: ViewSampler) -> None:
        super().__init__()
        self.cells = cells
        self.sampler = sampler

    def train_dataloader(self) -> DataLoader[DataLoader[Minibatch]]:
        """One item: the minibatches of an epoch, made where the trainer trains."""
        assert self.trainer is not None, "the trainer asks for it"
        epoch: Any = [self.loader(self.trainer.strategy.root_device)]
        return DataLoader(epoch, batch_size=None, generator=torch.Generator())  # leaves the seeded draws to the steps

    def loader(self, device: torch.device) -> DataLoader[Minibatch]:
        """Minibatches of one epoch on a device. ``batch_size=None``: the sampler's arrays reach the cells whole."""
        cells: Dataset[Minibatch] = self.cells if device.type == "cpu" else ResidentCells(self.cells, device)
        return DataLoader(cells, sampler=self.sampler, batch_size=None)
