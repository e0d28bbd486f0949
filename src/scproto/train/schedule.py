"""How many steps a training takes, and how they are divided."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .._arguments import check_whole

N_EPOCHS = 40

STEPS_PER_PROTOTYPE = 8
"""Number of steps per prototype that a training takes at least, if there are enough cells."""

WARM_UP = 0.5
"""Share of the steps before the prototypes start."""


@dataclass(frozen=True)
class Budget:
    """Division of the optimiser's steps.

    Here, an epoch is a fixed share of the budget, not a pass over the cells. A network needs steps: 500 cells need
    hardly fewer of them than 50,000.

    Attributes
    ----------
    n_epochs
        Number of epochs, including the warm-up.
    steps_per_epoch
        Number of steps per epoch.
    n_warmup_epochs
        Number of epochs at the start in which only the autoencoder trains.
    """

    n_epochs: int
    steps_per_epoch: int
    n_warmup_epochs: int

    @property
    def n_steps(self) -> int:
        """Total number of steps."""
        return self.n_epochs * self.steps_per_epoch


def plan_budget(n_cells: int, n_prototypes: int, batch_size: int, *, max_steps: int | None = None) -> Budget:
    """Choose the number of steps for a data set.

    Parameters
    ----------
    n_cells
        Number of cells.
    n_prototypes
        Number of prototypes.
    batch_size
        Cells per minibatch.
    max_steps
        Number of steps. By default 60 passes over the cells, but at least 1,000 steps, and at most the largest of 2,000
        steps, eight steps per prototype and two passes.

    Returns
    -------
    budget : Budget
        Division of the steps; `max_steps` is rounded down to whole epochs.

    Raises
    ------
    InputError
        If `max_steps` or `batch_size` is not a whole number of at least 1.
    """
    batch_size = check_whole("batch_size", batch_size)
    if max_steps is None:
        n_steps = _default_steps(n_cells / batch_size, n_prototypes)
    else:
        n_steps = check_whole("max_steps", max_steps)
    steps_per_epoch = math.ceil(n_steps / N_EPOCHS)
    n_epochs = n_steps // steps_per_epoch
    n_warmup = min(max(1, round(WARM_UP * n_epochs)), n_epochs - 1)
    return Budget(n_epochs, steps_per_epoch, n_warmup)


def _default_steps(steps_per_pass: float, n_prototypes: int) -> int:
    at_most = max(2000, STEPS_PER_PROTOTYPE * n_prototypes)
    return round(max(min(max(60 * steps_per_pass, 1000), at_most), 2 * steps_per_pass))
