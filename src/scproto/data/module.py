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
    """Combine a sampler, which chooses the cells of each minibatch, with the source that they are read from."""

    def __init__(self, source: CellSource, sampler: ViewSampler) -> None:
        super().__init__()
        self.source = source
        self.sampler = sampler

    def train_dataloader(self) -> DataLoader[DataLoader[Minibatch]]:
        """Return a loader of one item: the minibatches of an epoch, gathered on the device of the trainer."""
        assert self.trainer is not None, "only a trainer calls this"
        epoch: Any = [self.loader(self.trainer.strategy.root_device)]
        return DataLoader(epoch, batch_size=None, generator=torch.Generator())  # torch's seeded draws are for the steps

    def loader(self, device: torch.device) -> DataLoader[Minibatch]:
        """Return the minibatches of one epoch on a device."""
        on_host = device.type == "cpu"
        gathered = partial(gather, self.source) if on_host else DeviceCells(self.source, device).gather
        return DataLoader(
            _Minibatches(gathered), sampler=self.sampler, batch_size=None
        )  # None: a request is gathered whole


class _Minibatches(Dataset[Minibatch]):
    """Dataset that gathers a minibatch for each request, as torch's loader expects."""

    def __init__(self, gathered: Callable[[Request], Minibatch]) -> None:
        self._gathered = gathered

    def __getitem__(self, request: Request) -> Minibatch:
        return self._gathered(request)
