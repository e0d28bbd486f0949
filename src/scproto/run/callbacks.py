"""What a run does while the model trains."""

from __future__ import annotations

import lightning.pytorch as lightning

from .memory import give_back_holes


class GiveBack(lightning.Callback):
    """Give memory back to the system after each look at the whole embedding, which is when most is freed."""

    def on_train_batch_start(self, *_: object) -> None:
        """Give back; for Lightning an epoch is one batch, and a look comes before it."""
        give_back_holes()
