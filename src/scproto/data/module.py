"""Lightning data module: minibatches of views from cells of any source."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import lightning.pytorch as lightning
import torch
from torch.utils.data import DataLoader, Dataset

from .device import DeviceCells
from .minibatch import Minibatch, gather
from .sampler import Request, ViewSampler
from .source import CellSource


class ViewDataModule(lightning.LightningDataModule):
    """Joins what to read (a sampler of views) with how to read it (a source of cells)."""

    def __init__(self, source: CellSource, sampler: ViewSampler) -> None:
        super().__init__()
        self.source = source
        self.sampler = sampler

    def train_dataloader(self) -> DataLoader[DataLoader[Minibatch]]:
        """One item: the minibatches of an epoch, made where the trainer trains."""
        assert self.trainer is not None, "the trainer asks for it"
        epoch: Any = [self.loader(self.trainer.strategy.root_device)]
        return DataLoader(epoch, batch_size=None, generator=torch.Generator())  # leaves the seeded draws to the steps

    def loader(self, device: torch.device) -> DataLoader[Minibatch]:
        """Minibatches of one epoch on a device. ``batch_size=None``: the sampler's arrays reach the cells whole."""
        on_host = device.type == "cpu"
        gathered = partial(gather, self.source) if on_host else DeviceCells(self.source, device).gather
        return DataLoader(_Minibatches(gathered), sampler=self.sampler, batch_size=None)


class _Minibatches(Dataset[Minibatch]):
    """A function that gathers minibatches, in the form that torch's loader wants."""

    def __init__(self, gathered: Callable[[Request], Minibatch]) -> None:
        self._gathered = gathered

    def __getitem__(self, request: Request) -> Minibatch:
        return self._gathered(request)
