"""The training plan: what happens in each step and between epochs."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cached_property
from typing import Any, cast

import lightning.pytorch as lightning
import numpy as np
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from .._errors import InputError
from ..data.minibatch import Minibatch
from ..data.sampler import Guidance, ViewSampler
from ..data.source import CellSource
from ..metrics.collapse import describe_collapse
from ..network import Losses, PrototypeModule, embed
from .diagnostics import Usage
from .graphed import GraphedLoss
from .history import History, history_from_json, history_to_json, join_histories
from .look import REFRESH_EVERY, Look
from .schedule import Budget
from .state import TrainingState, copy_of, restore_torch_states, restored_stopping, stopping_state, torch_states

logger = logging.getLogger(__name__)


class PrototypePlan(lightning.LightningModule):
    """Warm up the autoencoder, start the prototypes, then minimise the three losses together.

    Parameters
    ----------
    module
        The network and its objective.
    source
        The training cells.
    sampler
        Sampler that draws the views.
    budget
        Number of steps and how they are divided.
    learning_rate
        Peak learning rate of the one-cycle schedule.
    weight_decay
        Weight decay of AdamW.
    n_mutual
        Size of the neighbourhoods in which cells of two batches must find each other to be mutual neighbours.
    seed
        Seed of k-means and of the choice of batches to compare.
    identity
        Settings and a digest of the cells, kept with the state; see :class:`scproto.train.state.TrainingState`.
    """

    def __init__(
        self,
        module: PrototypeModule,
        source: CellSource,
        sampler: ViewSampler,
        budget: Budget,
        *,
        learning_rate: float = 4e-3,
        weight_decay: float = 1e-4,
        n_mutual: int = 10,
        seed: int = 0,
        identity: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.module = module
        self.source = source
        self.sampler = sampler
        self.budget = budget
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.seed = seed
        self.identity = identity or {}
        self._rng = np.random.default_rng(seed)
        self._look = Look(module, source.batch, sampler, self._rng, n_mutual, seed)
        self._sums: dict[str, Tensor] = {}
        self._usage = Usage(module.n_batches, len(module.prototypes))
        self._warned = False
        self._resumed: TrainingState | None = None
        self._earlier: History = {}

    def configure_optimizers(self) -> lightning.utilities.types.OptimizerLRScheduler:
        """Return AdamW with a one-cycle learning rate over all steps."""
        optimizer = torch.optim.AdamW(
            self.module.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, eps=1e-8, fused=True
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=self.learning_rate, total_steps=self.budget.n_steps
        )
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    @cached_property
    def _graphed(self) -> GraphedLoss | None:
        """The objective as a CUDA graph if training runs on a single CUDA device, else None."""
        alone = not torch.distributed.is_initialized()
        return GraphedLoss(self.module) if self.module.device.type == "cuda" and alone else None

    @property
    def warming_up(self) -> bool:
        """Whether the training is in the warm-up, without prototypes."""
        return self.current_epoch < self.budget.n_warmup_epochs

    def on_train_epoch_start(self) -> None:
        """Restore the state to resume from, if any; look at the whole embedding if a look is due."""
        if self._resumed is not None:
            self._restore(self._resumed)
            self._resumed = None
        since_start = self.current_epoch - self.budget.n_warmup_epochs
        if since_start < 0 or since_start % REFRESH_EVERY:
            return
        unit = embed(self.module, self.source)
        if since_start == 0:
            prototypes, guidance = self._look.first(unit)
        else:
            prototypes, guidance = self._look.again(unit)
        self.module.set_prototypes(prototypes)
        self._follow(guidance)

    def _follow(self, guidance: Guidance) -> None:
        """Follow this guidance from now on."""
        self.sampler.follow(guidance)
        if guidance.shares is not None:
            self.module.set_shares(torch.from_numpy(guidance.shares))

    def training_step(self, minibatches: Iterable[Minibatch], batch_idx: int) -> None:
        """Train on all minibatches of an epoch. For Lightning it is one batch, to save up to a millisecond per step."""
        optimizer, schedule = self._optimizer, self._schedule
        for minibatch in minibatches:
            loss = self.objective(minibatch)
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            schedule.step()

    @property
    def _optimizer(self) -> LightningOptimizer:
        return cast(LightningOptimizer, self.optimizers())

    @property
    def _schedule(self) -> LRScheduler:
        return cast(LRScheduler, self.lr_schedulers())

    def objective(self, minibatch: Minibatch) -> Tensor:
        """Compute the loss of a minibatch, and record it."""
        losses_of = self._graphed or self.module.loss
        losses = losses_of(minibatch, prototypes=not self.warming_up)
        self._record(losses, minibatch)
        return losses.total

    def _record(self, losses: Losses, minibatch: Minibatch) -> None:
        """Add to the sums of the epoch, without reading anything back from the device."""
        values = {"loss": losses.total, **{f"loss_{name}": value for name, value in losses.terms.items()}}
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.detach()
        if losses.scores is not None:
            self._usage.add(losses.scores, minibatch.batch[0])

    def on_train_epoch_end(self) -> None:
        """Log the means and signs of collapse of the epoch; stop if a weight is no longer finite."""
        if not all(bool(torch.isfinite(weight).all()) for weight in self.module.parameters()):
            raise InputError(
                f"The training diverged in epoch {self.current_epoch + 1} of {self.budget.n_epochs}: give "
                f"SCPROTO.train a learning_rate below {self.learning_rate:g}."
            )
        logged = {name: total / self.budget.steps_per_epoch for name, total in self._sums.items()}
        if not self.warming_up:
            logged |= self._usage.summary()
            self._check_use(float(logged["prototypes_used"]), float(logged["share_used"]))
        self.log_dict(logged)
        self._sums = {}
        self._usage = Usage(self.module.n_batches, len(self.module.prototypes))

    def _check_use(self, n_used: float, share_used: float) -> None:
        """Warn of prototypes that have collapsed, and do not stop early before they spread again."""
        collapse = describe_collapse(n_used, share_used)
        if collapse is None:
            return
        if (stopping := self.trainer.early_stopping_callback) is not None:
            stopping.wait_count = 0
        spread = self.current_epoch >= self.budget.n_warmup_epochs + REFRESH_EVERY  # once they had the chance to spread
        if spread and not self._warned:
            logger.warning("Epoch %d of %d: %s", self.current_epoch + 1, self.budget.n_epochs, collapse)
            self._warned = True

    def state(self) -> TrainingState:
        """Return all that the rest of the training depends on; call it between two epochs."""
        optimizer, stopping = self._optimizer.state_dict(), self.trainer.early_stopping_callback
        logged = getattr(self.trainer.logger, "history", None)
        return TrainingState(
            epoch=self.current_epoch,
            weights=copy_of(self.module.state_dict()),
            optimizer={number: copy_of(values) for number, values in optimizer["state"].items()},
            groups=optimizer["param_groups"],
            schedule=self._schedule.state_dict(),
            guidance=self.sampler.guidance,
            sampler=self.sampler.state(),
            generators={"look": self._rng.bit_generator.state},
            torch_generators=torch_states(),
            stopping=stopping_state(stopping) if stopping is not None else {},
            history=history_to_json(self.whole_history(logged if isinstance(logged, dict) else {})),
            identity=self.identity,
        )

    def resume(self, state: TrainingState) -> None:
        """Continue from this state once the trainer starts an epoch."""
        self._resumed, self._earlier = state, history_from_json(state.history)

    def whole_history(self, logged: History) -> History:
        """Join what was logged before the training was resumed with what was logged since."""
        return join_histories(self._earlier, logged, 0)

    def _restore(self, state: TrainingState) -> None:
        self.module.load_weights(state.weights)
        self._follow(state.guidance)
        self.sampler.restore(state.sampler)
        self._optimizer.optimizer.load_state_dict({"state": state.optimizer, "param_groups": state.groups})
        self._schedule.load_state_dict(state.schedule)
        self._rng.bit_generator.state = state.generators["look"]
        if state.stopping and (stopping := self.trainer.early_stopping_callback) is not None:
            stopping.load_state_dict({**stopping.state_dict(), **restored_stopping(state.stopping)})
        restore_torch_states(state.torch_generators)
