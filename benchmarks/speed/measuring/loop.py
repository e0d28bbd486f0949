"""Short trainings, and the clock of their steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any
from unittest.mock import patch

import lightning.pytorch as lightning
import torch

from scproto.data.sampler import Request, ViewSampler

EPOCHS = 6
"""Number of epochs of the timed trainings: two of warm-up and four of joint training, with one look between them."""

WARM_UP, JOINT = slice(1, 2), slice(3, EPOCHS)
"""Epochs whose steps count; the first epoch of each kind fills caches and allocates memory."""


class Clock(lightning.Callback):
    """Mean seconds per step in each epoch, from the end of its first step to the end of its last.

    This includes everything that a step needs, such as its minibatch. It excludes the work that happens once per epoch
    (drawing the cells, logging, a look at the embedding). At both ends, the clock waits for the GPU. As a callback, it
    times trainings in which Lightning counts the steps; :meth:`watch` times those of scproto.

    Attributes
    ----------
    seconds
        Seconds per step, for each epoch with at least two steps.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self.seconds: list[float] = []
        self._clock = clock
        self._start = 0.0

    def tick(self, index: int, n_steps: int) -> None:
        """Record the end of a step."""
        if n_steps < 2 or index not in (0, n_steps - 1):
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if index == 0:
            self._start = self._clock()
        else:
            self.seconds.append((self._clock() - self._start) / (n_steps - 1))

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Time trainings of scproto: a step ends when the loop asks the sampler for the next minibatch."""
        original = ViewSampler.__iter__

        def requests(sampler: ViewSampler) -> Iterator[Request]:
            n_steps = len(sampler)
            for index, request in enumerate(original(sampler)):
                if index:
                    self.tick(index - 1, n_steps)
                yield request
            self.tick(n_steps - 1, n_steps)

        with patch.object(ViewSampler, "__iter__", requests):
            yield

    def on_train_batch_end(self, trainer: Any, plan: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Record the end of a step that Lightning counts."""
        self.tick(batch_idx, int(trainer.num_training_batches))


@contextmanager
def short_training() -> Iterator[None]:
    """Limit trainings to `EPOCHS` epochs, without the last alignment."""
    with patch("scproto.train.schedule.N_EPOCHS", EPOCHS), patch("scproto.model.scproto.settle"):
        yield
