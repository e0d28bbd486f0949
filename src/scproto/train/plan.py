"""Training plan: what happens at each step and between the epochs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, cast

import lightning.pytorch as lightning
import numpy as np
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from .._errors import InputError
from .._memory import give_back_holes
from ..data.minibatch import Minibatch
from ..data.module import CellViews
from ..data.views import ViewSampler
from ..graph import mutual_neighbors
from ..losses.losses import Losses
from ..nn import density_weights, far_points, nearest_prototype, prototype_shares, spherical_kmeans
from ..nn._chunk import CHUNK
from .diagnostics import Usage
from .graphed import GraphedLoss
from .schedule import Budget

if TYPE_CHECKING:
    from ..model.module import PrototypeModule

REFRESH_EVERY = 4
"""Epochs between two looks at the whole embedding."""

LAST_RESEED = 0.85
"""Share of the budget after which no prototype is moved by hand any more."""


class PrototypePlan(lightning.LightningModule):
    """Warm-up of the autoencoder, start of the prototypes, then the three losses together.

    Parameters
    ----------
    module
        The network and its objective.
    cells
        The training cells.
    sampler
        Draws the views; told here when to pair cells and with whom across the batches.
    budget
        Number of steps.
    learning_rate
        Peak of the one-cycle schedule.
    weight_decay
        Of AdamW.
    n_mutual
        Size of the neighbourhoods that must agree between batches.
    seed
        Of k-means and of the choice of batches to compare.
    """

    def __init__(
        self,
        module: PrototypeModule,
        cells: CellViews,
        sampler: ViewSampler,
        budget: Budget,
        *,
        learning_rate: float = 4e-3,
        weight_decay: float = 1e-4,
        n_mutual: int = 10,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.module = module
        self.cells = cells
        self.sampler = sampler
        self.budget = budget
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.n_mutual = n_mutual
        self.seed = seed
        self._rng = np.random.default_rng(seed)
        self._sums: dict[str, Tensor] = {}
        self._usage = Usage(module.n_batches, len(module.prototypes))

    def configure_optimizers(self) -> lightning.utilities.types.OptimizerLRScheduler:
        """AdamW with a one-cycle learning rate over all steps."""
        optimizer = torch.optim.AdamW(
            self.module.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, eps=1e-8, fused=True
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=self.learning_rate, total_steps=self.budget.n_steps
        )
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    @cached_property
    def _graphed(self) -> GraphedLoss | None:
        """The objective as a graph, on a single CUDA device."""
        alone = not torch.distributed.is_initialized()
        return GraphedLoss(self.module) if self.module.device.type == "cuda" and alone else None

    @property
    def warming_up(self) -> bool:
        """Whether the autoencoder still trains alone."""
        return self.current_epoch < self.budget.n_warmup_epochs

    def on_train_epoch_start(self) -> None:
        """Look at the whole embedding where it is time to."""
        since_start = self.current_epoch - self.budget.n_warmup_epochs
        if since_start >= 0 and since_start % REFRESH_EVERY == 0:
            self._look(embed(self.module, self.cells).cpu(), start=since_start == 0)
            give_back_holes()

    def _look(self, unit: Tensor, *, start: bool) -> None:
        """Settle by the whole embedding: prototypes, their shares, which cells to draw and whom to pair them with."""
        batch, cells = torch.from_numpy(self.cells.batch), unit
        prototypes = self._first_prototypes(unit) if start else self._reseeded(unit)
        if start:  # where the batches have been brought together, so that the prototypes start shared
            _, prototypes, cells = self.module.align(unit, batch, prototypes)
        self.module.set_prototypes(prototypes)
        self.module.set_shares(prototype_shares(cells, batch, prototypes, self.module.n_batches))
        self.sampler.paired = True
        self.sampler.weights = density_weights(unit, prototypes).numpy()
        if self.module.n_batches > 1:
            drawn = self.sampler.draw_ahead(REFRESH_EVERY)
            aligned = cells[drawn] if start else self.module.align(unit[drawn], batch[drawn], prototypes)[2]
            self._pair_across(aligned.numpy(), drawn)

    def _pair_across(self, aligned: NDArray[np.float32], drawn: NDArray[np.int64]) -> None:
        """Let cells that are drawn until the next look have mutual neighbours among each other in other batches."""
        self.sampler.cross = None  # free before the next ones are found
        pairs = mutual_neighbors(aligned, self.cells.batch[drawn], self.n_mutual, rng=self._rng)
        self.sampler.cross = pairs.among(drawn, len(self.cells))

    def _first_prototypes(self, unit: Tensor) -> Tensor:
        """k-means, then once more with weights by the density that the first tells."""
        n_prototypes = len(self.module.prototypes)
        evenly = torch.from_numpy(spherical_kmeans(unit.numpy(), n_prototypes, seed=self.seed))
        weights = density_weights(unit, evenly).numpy()
        return torch.from_numpy(spherical_kmeans(unit.numpy(), n_prototypes, weights=weights, seed=self.seed))

    def _reseeded(self, unit: Tensor) -> Tensor:
        """Prototypes, those that are no cell's nearest put onto the cells farthest from all others."""
        prototypes = self.module.unit_prototypes.detach().cpu()
        size = torch.bincount(nearest_prototype(unit, prototypes)[1], minlength=len(prototypes))
        empty = torch.nonzero(size == 0).flatten()
        if len(empty) and self.current_epoch < LAST_RESEED * self.budget.n_epochs:
            prototypes[empty] = unit[far_points(unit, prototypes[size > 0], len(empty))]
        return prototypes

    def training_step(self, minibatches: Iterable[Minibatch], batch_idx: int) -> None:
        """Train on the minibatches of an epoch, for Lightning one batch: around each it takes up to a millisecond."""
        optimizer, schedule = cast(LightningOptimizer, self.optimizers()), cast(LRScheduler, self.lr_schedulers())
        for minibatch in minibatches:
            loss = self.objective(minibatch)
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            schedule.step()

    def objective(self, minibatch: Minibatch) -> Tensor:
        """What is minimised, for one minibatch."""
        losses_of = self._graphed or self.module.loss
        losses = losses_of(minibatch, prototypes=not self.warming_up)
        self._record(losses, minibatch)
        return losses.total

    def _record(self, losses: Losses, minibatch: Minibatch) -> None:
        """Add to the epoch's sums; nothing is read back from the device in a step."""
        values = {"loss": losses.total, **{f"loss_{name}": value for name, value in losses.terms.items()}}
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.detach()
        if losses.scores is not None:
            self._usage.add(losses.scores, minibatch.batch[0])

    def on_train_epoch_end(self) -> None:
        """Log the epoch's means and the signs of collapse; stop where there is nothing left to learn from."""
        if not all(bool(torch.isfinite(weight).all()) for weight in self.module.parameters()):
            raise InputError(
                f"The training went out of bounds in epoch {self.current_epoch + 1} of {self.budget.n_epochs}: give "
                f"SCPROTO.train a learning_rate below {self.learning_rate:g}."
            )
        logged = {name: total / self.budget.steps_per_epoch for name, total in self._sums.items()}
        if not self.warming_up:
            logged |= self._usage.summary()
        self.log_dict(logged)
        self._sums = {}
        self._usage = Usage(self.module.n_batches, len(self.module.prototypes))


def embed(module: PrototypeModule, cells: CellViews, chunk: int = CHUNK) -> Tensor:
    """Embedding of all cells before alignment, ``(n_cells, n_latent)``, without dropout."""
    was_training = module.training
    module.eval()
    with torch.no_grad():
        parts = [module.encoder(cells.inputs(start, chunk, module.device)) for start in range(0, len(cells), chunk)]
    module.train(was_training)
    return torch.cat(parts)
