"""Run a training with Lightning, and leave the process as it was."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from contextlib import ExitStack, redirect_stdout
from typing import Any

import lightning.pytorch as lightning
import torch
from scvi.model.base import BaseModelClass
from scvi.train import TrainRunner

from .. import _lightning
from ..data.module import ViewDataModule
from .checkpoint import Checkpoint
from .history import History, join_histories, n_epochs_of
from .plan import PrototypePlan
from .state import TrainingState

PATIENCE = 10
"""Number of epochs without a smaller loss after which training stops."""


def run_trainer(
    model: BaseModelClass,
    plan: PrototypePlan,
    data: ViewDataModule,
    *,
    checkpoint: Checkpoint | None = None,
    state: TrainingState | None = None,
    **trainer_kwargs: Any,
) -> None:
    """Train with scvi-tools' trainer, and append to the history of the model.

    Parameters
    ----------
    model
        Model whose module the plan trains.
    plan
        Training plan, with the number of steps and the seed.
    data
        The minibatches.
    checkpoint
        Callback that saves the state of the training.
    state
        State of an earlier training to continue from; by default the training starts anew.
    **trainer_kwargs
        Arguments of :class:`scvi.train.Trainer`.
    """
    callbacks = trainer_kwargs.pop("callbacks", None) or []
    before: History = (model.history if model.is_trained_ else None) or {}
    n_done = state.epoch if state is not None else 0
    with ExitStack() as stack:
        # a copy, because scvi-tools adds to the list
        callbacks = [*(callbacks if isinstance(callbacks, Iterable) else [callbacks]), _Hush(stack)]
        callbacks += [checkpoint] if checkpoint is not None else []
        stack.enter_context(torch.random.fork_rng())
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(_lightning.quiet())
        stack.enter_context(_lightning.interruptible())
        # minibatches come from memory; worker processes would only slow them down
        warnings.filterwarnings("ignore", ".*does not have many workers")
        # Lightning uses a class that newer torch deprecates
        warnings.filterwarnings("ignore", "`isinstance.treespec, LeafSpec.` is deprecated", FutureWarning)
        runner = TrainRunner(
            model,
            training_plan=plan,
            data_splitter=data,
            max_epochs=plan.budget.n_epochs,
            early_stopping_monitor="loss",
            early_stopping_patience=PATIENCE,
            early_stopping_warmup_epochs=max(plan.budget.n_warmup_epochs - n_done, 0),
            log_every_n_steps=1,  # for Lightning, an epoch is one step
            use_distributed_sampler=False,
            callbacks=callbacks,
            **trainer_kwargs,
        )
        torch.manual_seed(plan.seed)
        if state is not None:
            plan.resume(state)
            done = runner.trainer.fit_loop.epoch_progress.current
            done.ready = done.started = done.processed = done.completed = n_done
        model.is_trained_ = False  # otherwise scvi-tools joins the histories and renumbers some epochs
        runner()
    model.history_ = join_histories(before, plan.whole_history(model.history or {}), n_epochs_of(before))


class _Hush(lightning.Callback):
    """Suppress what scvi-tools prints about an error, which is raised anyway."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def on_exception(self, *_: Any) -> None:
        """Discard what is printed until the stack is closed."""
        self._stack.enter_context(redirect_stdout(io.StringIO()))
