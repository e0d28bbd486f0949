"""Training by Lightning, which leaves the process as it was."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import torch
from scvi.model.base import BaseModelClass
from scvi.train import TrainRunner

from .. import _lightning
from ..data.module import ViewDataModule
from .plan import PrototypePlan

PATIENCE = 10
"""Epochs without a smaller loss after which training stops."""


def run_trainer(model: BaseModelClass, plan: PrototypePlan, data: ViewDataModule, **trainer_kwargs: Any) -> None:
    """Train by scvi-tools' trainer, which also writes the history.

    Parameters
    ----------
    model
        Whose module the plan trains.
    plan
        What a step is, how many there are, and the seed.
    data
        The minibatches.
    **trainer_kwargs
        Of :class:`scvi.train.Trainer`.
    """
    if callbacks := trainer_kwargs.pop("callbacks", None):  # in a list of our own, as scvi-tools adds to it
        trainer_kwargs["callbacks"] = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    with torch.random.fork_rng(), warnings.catch_warnings(), _lightning.quiet(), _lightning.interruptible():
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
            early_stopping_warmup_epochs=plan.budget.n_warmup_epochs,
            log_every_n_steps=1,  # of Lightning, to which an epoch is one
            use_distributed_sampler=False,
            **trainer_kwargs,
        )
        torch.manual_seed(plan.seed)
        runner()
