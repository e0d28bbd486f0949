"""Save the state of a training while it runs."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import lightning.pytorch as lightning

from .._errors import InputError
from .plan import PrototypePlan

EVERY_S = 60.0
"""Minimum number of seconds between two checkpoints, so that writing them takes a small share of the training."""


class Checkpoint(lightning.Callback):
    """Keep the latest state of a training in a file, from which it can be resumed.

    The state is saved between two epochs. An epoch is a fortieth of the steps.

    Parameters
    ----------
    path
        File to write, such as ``training.safetensors``. An earlier file is replaced.
    every_s
        Minimum number of seconds between two checkpoints; 0 saves one after each epoch.

    Raises
    ------
    InputError
        If the folder of the file does not exist.

    Examples
    --------
    >>> model.train(checkpoint="training.safetensors")
    >>> model.train(resume_from="training.safetensors")  # in another process, with the same cells and settings
    """

    def __init__(self, path: str | Path, every_s: float = EVERY_S) -> None:
        self.path = Path(path).expanduser().resolve()
        if not self.path.parent.is_dir():
            raise InputError(f"The folder of the checkpoint {path} does not exist: create {self.path.parent} first.")
        self.every_s = every_s
        self._last = 0.0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._last, self._first_epoch = monotonic(), pl_module.current_epoch

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save the state before the epoch if the last checkpoint is old enough."""
        assert isinstance(pl_module, PrototypePlan)
        if pl_module.current_epoch > self._first_epoch and monotonic() - self._last >= self.every_s:
            pl_module.state().save(self.path)
            self._last = monotonic()
