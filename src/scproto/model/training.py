"""One training of a model: from a source of cells to aligned batches and settled prototypes."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from scvi.model.base import BaseModelClass

from .._errors import InputError
from ..data.module import ViewDataModule
from ..data.sampler import ViewSampler
from ..data.source import CellSource, gene_share
from ..graph import KnnGraph
from ..network import PrototypeModule, embed, fit_read_out, read_out_prototypes, remember, unit_prototypes
from ..train.plan import PrototypePlan
from ..train.runner import run_trainer
from ..train.schedule import plan_budget
from ..train.state import TrainingState
from .denoiser import fit_theta_of_levels
from .placement import Placement, last_kmeans


def learn(
    model: BaseModelClass,
    module: PrototypeModule,
    source: CellSource,
    within: KnnGraph,
    *,
    seed: int,
    max_steps: int | None,
    batch_size: int,
    learning_rate: float,
    state: TrainingState | None = None,
    **trainer_kwargs: Any,
) -> None:
    """Train the network of a model.

    Parameters
    ----------
    model
        Model whose history gets the new epochs.
    module
        Network of the model, trained in place.
    source
        Training cells.
    within
        Neighbours of each cell within its batch.
    seed, max_steps, batch_size, learning_rate
        Arguments of :class:`scproto.SCPROTO` and :meth:`scproto.SCPROTO.train`.
    state
        State of an earlier training, from which to continue.
    **trainer_kwargs
        Arguments of :func:`scproto.train.runner.run_trainer`.
    """
    budget = plan_budget(source.n_cells, len(module.prototypes), batch_size, max_steps=max_steps)
    identity = {
        **model.init_params_,
        "max_steps": budget.n_steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "version": version("scproto"),
        "cells": _digest(source, within),
    }
    if state is not None:
        state.check_identity(identity)
    shares = gene_share(source)
    sampler = ViewSampler(within, np.argsort(shares), batch_size, budget.steps_per_epoch, group=source.batch, seed=seed)
    if not model.is_trained_:
        module.decoder.start_at(torch.from_numpy(shares))
    module.train()
    plan = PrototypePlan(module, source, sampler, budget, learning_rate=learning_rate, seed=seed, identity=identity)
    run_trainer(model, plan, ViewDataModule(source, sampler), state=state, **trainer_kwargs)


def settle(module: PrototypeModule, source: CellSource, seed: int) -> Placement:
    """Align the batches, move the prototypes onto the aligned cells, and find dispersions and the axes.

    Parameters
    ----------
    module
        Trained network; alignment, prototypes, axes and dispersions are set in place.
    source
        Training cells.
    seed
        Seed of k-means, and of the sample of cells that the axes are found from.

    Returns
    -------
    placement : Placement
        Where cells and prototypes then lie.
    """
    batch = torch.from_numpy(source.batch)
    unit = embed(module, source)
    alignment, prototypes, aligned = module.align(unit, batch, module.unit_prototypes.detach().cpu())
    centres = last_kmeans(aligned.numpy(), prototypes.numpy(), seed)
    module.set_prototypes(torch.from_numpy(centres), alignment)
    fit_theta_of_levels(module, source, aligned.numpy(), seed)
    embedding = fit_read_out(module, source, aligned.numpy(), seed)
    remember(module, source, aligned)
    return Placement(embedding, read_out_prototypes(module), aligned.numpy(), unit_prototypes(module))


def check_source(source: CellSource, n_cells: int, n_genes: int, n_batches: int) -> None:
    """Refuse cells that are not those of the model.

    Raises
    ------
    InputError
        If the number of cells or genes differs, or a batch is unknown.
    """
    found = source.n_cells, source.n_genes
    if found != (n_cells, n_genes):
        raise InputError(
            f"The source has {found[0]} cells and {found[1]} genes, but the model has {n_cells} and {n_genes}: give "
            "the model's own cells in their order, with the model's genes (model.gene_names)."
        )
    if len(source.batch) != n_cells or not 0 <= source.batch.min() <= source.batch.max() < n_batches:
        raise InputError(
            f"The source must give each cell a batch from 0 to {n_batches - 1}, as the model numbers them."
        )


def _digest(source: CellSource, within: KnnGraph) -> str:
    """Digest of batches, depths and neighbours, which tells whether cells are the same."""
    digest = hashlib.blake2b(digest_size=16)
    for array in (source.batch, source.library, within.indptr, within.indices):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
