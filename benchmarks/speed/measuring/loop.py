"""Steps of a training: their clock, and a loop of plain torch in the place of the framework."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from typing import Any
from unittest.mock import patch

import lightning.pytorch as lightning
import torch
from anndata import AnnData

import scproto
from scproto.data.minibatch import Minibatch
from scproto.data.module import ViewDataModule
from scproto.data.views import Request, ViewSampler
from scproto.model import SCPROTO
from scproto.train.plan import PrototypePlan

EPOCHS = 6
"""Of the trainings that are timed: two of warm-up, four of joint training, one look between them."""

WARM_UP, JOINT = slice(1, 2), slice(3, EPOCHS)
"""Epochs whose steps count; the first of each kind fills caches and allocates."""

LENGTH = "scproto.train.schedule.N_EPOCHS"


def read(source: str, batch_key: list[str]) -> AnnData:
    """Read counts, prepare them and register them for the model."""
    import anndata

    adata = anndata.read_h5ad(source)
    scproto.pp.prepare(adata, batch_key)
    SCPROTO.setup_anndata(adata)
    return adata


class Clock(lightning.Callback):
    """Seconds of a step, for each epoch: from the end of its first step to the end of its last.

    What comes once an epoch (drawing the cells, logging, a look at the embedding) is not in it; all that a step needs
    is, with its minibatch. A GPU is waited for at both ends. As a callback it times trainings in which Lightning counts
    the steps; those of scproto are timed by :meth:`watch`.

    Attributes
    ----------
    seconds
        Of a step, for each epoch of two steps or more.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self.seconds: list[float] = []
        self._clock = clock
        self._start = 0.0

    def tick(self, index: int, n_steps: int) -> None:
        """Note the end of a step of an epoch."""
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
        """Time trainings of scproto: a step has ended when the sampler is asked for the next minibatch."""
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

    def on_train_batch_end(
        self, trainer: lightning.Trainer, plan: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Let Lightning tell the end of a step."""
        self.tick(batch_idx, int(trainer.num_training_batches))


class PlainRunner:
    """Takes the place of scvi-tools' runner: the same plan, minibatches and optimiser, and nothing else.

    Parameters
    ----------
    model, training_plan, data_splitter, max_epochs, accelerator
        As the runner gets them from :meth:`scproto.SCPROTO.train`.
    work
        What to do in place of the training; by default all epochs.
    """

    def __init__(
        self,
        model: SCPROTO,
        training_plan: PrototypePlan,
        data_splitter: ViewDataModule,
        max_epochs: int,
        accelerator: str = "cpu",
        work: Callable[[PlainRunner], None] | None = None,
        **_: Any,
    ) -> None:
        self.device = torch.device("cuda" if accelerator == "gpu" else "cpu")
        self.plan, self.max_epochs, self.epoch = training_plan, max_epochs, 0
        self.loader = data_splitter.loader(self.device)
        self.work = work or PlainRunner.all_epochs

    def __call__(self) -> None:
        """Do the work. Without a trainer the plan does not know its epoch, so it is told."""
        with patch.object(PrototypePlan, "current_epoch", property(lambda _: self.epoch)):
            self.plan.to(self.device)
            configured: Any = self.plan.configure_optimizers()
            self.optimizer, self.schedule = configured["optimizer"], configured["lr_scheduler"]
            self.work(self)

    def all_epochs(self) -> None:
        """Train."""
        for epoch in range(self.max_epochs):
            self.epoch = epoch
            self.plan.on_train_epoch_start()
            for minibatch in self.loader:
                self.step(minibatch)

    def start_joint(self) -> None:
        """Go to where the prototypes start."""
        self.epoch = self.plan.budget.n_warmup_epochs
        self.plan.on_train_epoch_start()

    def step(self, minibatch: Minibatch) -> None:
        """One step of the optimiser."""
        loss = self.plan.objective(minibatch)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()


@contextmanager
def short_training(runner: Callable[..., Any] | None = None, **options: Any) -> Iterator[None]:
    """Let trainings have `EPOCHS` epochs and end without the last alignment, by another runner if one is given."""
    with patch(LENGTH, EPOCHS), patch.object(SCPROTO, "_finish", lambda *_: None):
        if runner is None:
            yield
        else:
            with patch("scproto.train.runner.TrainRunner", partial(runner, **options)):
                yield
