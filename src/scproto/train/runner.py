"""Training by Lightning, which leaves the process as it was."""

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
"""Epochs without a smaller loss after which training stops."""


def run_trainer(
    model: BaseModelClass,
    plan: PrototypePlan,
    data: ViewDataModule,
    *,
    checkpoint: Checkpoint | None = None,
    state: TrainingState | None = None,
    **trainer_kwargs: Any,
) -> None:
    """Train by scvi-tools' trainer, and add the history to that of the model.

    Parameters
    ----------
    model
        Whose module the plan trains.
    plan
        What a step is, how many there are, and the seed.
    data
        The minibatches.
    checkpoint
        Saves the state of the training.
    state
        Where a training stopped, to go on from there; by default it starts anew.
    **trainer_kwargs
        Arguments of :class:`scvi.train.Trainer`.
    """
    callbacks = trainer_kwargs.pop("callbacks", None) or []
    before: History = (model.history if model.is_trained_ else None) or {}
    n_done = state.epoch if state is not None else 0
    with ExitStack() as stack:
        # a list of our own, as scvi-tools adds to it
        callbacks = [*(callbacks if isinstance(callbacks, Iterable) else [callbacks]), _Hush(stack)]
        callbacks += [checkpoint] if checkpoint is not None else []
        stack.enter_context(torch.random.fork_rng())
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(_lightning.quiet())
        stack.enter_context(_lightning.interruptible())
        # minibatches come from memory, and other processes would only delay them
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
            log_every_n_steps=1,  # of Lightning, to which an epoch is one
            use_distributed_sampler=False,
            callbacks=callbacks,
            **trainer_kwargs,
        )
        torch.manual_seed(plan.seed)
        if state is not None:
            plan.resume(state)
            done = runner.trainer.fit_loop.epoch_progress.current
            done.ready = done.started = done.processed = done.completed = n_done
        model.is_trained_ = False  # else scvi-tools joins the histories, and numbers the epochs of some values anew
        runner()
    model.history_ = join_histories(before, plan.whole_history(model.history or {}), n_epochs_of(before))


class _Hush(lightning.Callback):
    """Keep back what scvi-tools prints of an error, which is raised all the same."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def on_exception(self, *_: Any) -> None:
        """Drop what is printed from here on until the stack is closed."""
        self._stack.enter_context(redirect_stdout(io.StringIO()))
