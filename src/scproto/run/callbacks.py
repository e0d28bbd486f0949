"""Callbacks of a run while the model trains."""

from __future__ import annotations

import lightning.pytorch as lightning

from .memory import give_back_holes


class GiveBack(lightning.Callback):
    """Return memory to the system after each look at the whole embedding, when most of it is freed."""

    def on_train_batch_start(self, *_: object) -> None:
        """Return memory. For Lightning, an epoch is one batch, and a look comes before it."""
        give_back_holes()
