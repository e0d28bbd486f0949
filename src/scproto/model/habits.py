"""Advice on arguments that scVI's models take, or that have other names elsewhere."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from .._arguments import refuse_unknown
from .._errors import InputError
from ..network import PrototypeModule


def _each(*rows: tuple[str, str]) -> dict[str, str]:
    """Map each name to its advice; names that share the advice are in one string."""
    return {name: advice for names, advice in rows for name in names.split()}


MODEL = _each(
    ("n_clusters n_metacells n_centers n_components k", "give n_prototypes, the number of metacells."),
    ("random_state random_seed", "give seed."),
    ("latent_dim n_dims n_dim z_dim", "give n_latent, the dimension of the embedding."),
    ("hidden_dim n_hidden_units", "give n_hidden, the width of the hidden layers."),
    (
        "n_layers dropout_rate",
        "the architecture is fixed; give n_hidden, the width, or n_latent, the dimension of the embedding.",
    ),
    ("gene_likelihood dispersion", "counts are always negative binomial, with one dispersion per gene."),
    (
        "latent_distribution use_observed_lib_size",
        "cells lie on a hypersphere, and the depth of a cell is taken from its counts.",
    ),
    ("batch_key layer labels_key", "give it to SCPROTO.setup_anndata."),
    ("max_steps max_epochs batch_size learning_rate accelerator", "give it to SCPROTO.train."),
)
"""Advice on arguments of :class:`scproto.SCPROTO`."""

SETUP = _each(
    (
        "labels_key label_key unlabeled_category",
        "the fit uses no labels; give them as label_keys to SCPROTO.get_metacells.",
    ),
    (
        "categorical_covariate_keys batch_keys",
        'give all of them as batch_key=["study", "donor"], here and to scproto.pp.prepare.',
    ),
    ("continuous_covariate_keys", "the model takes only batches into account."),
    ("size_factor_key", "the depth of a cell is taken from its counts."),
)
"""Advice on arguments of :meth:`scproto.SCPROTO.setup_anndata`."""

SIZES = ("adata", "registry", "n_genes", "n_batches")
"""Arguments that come from the cells, not from the user."""

TRANSFER = ("source_registry", "extend_categories", "allow_missing_labels")
"""Arguments with which scvi-tools registers cells like earlier ones."""

NO_VALIDATION = "training uses all cells, and there is no validation set."

TRAIN = _each(
    ("max_epochs n_epochs epochs n_steps", "give max_steps, the number of minibatches."),
    ("use_gpu use_cuda device", 'give accelerator="gpu".'),
    ("lr", "give learning_rate."),
    ("trainer_config trainer_kwargs", "give its entries as arguments."),
    ("plan_kwargs", "give learning_rate as an argument, and the constants of the objective to SCPROTO."),
    ("weight_decay reduce_lr_on_plateau", "the optimiser and its schedule are fixed; learning_rate is the peak."),
    ("n_epochs_kl_warmup n_steps_kl_warmup", "the objective has no KL term."),
    ("train_size validation_size shuffle_set_split datasplitter_kwargs external_indexing", NO_VALIDATION),
    ("check_val_every_n_epoch val_check_interval limit_val_batches num_sanity_val_steps", NO_VALIDATION),
    (
        "early_stopping_patience early_stopping_monitor early_stopping_mode early_stopping_warmup_epochs",
        "early_stopping=True stops if the loss has not fallen for a quarter of the training; False never stops early.",
    ),
    (
        "gradient_clip_val gradient_clip_algorithm accumulate_grad_batches",
        "the model runs its own optimiser steps; change batch_size or learning_rate instead.",
    ),
    (
        "ckpt_path enable_checkpointing checkpointing_monitor",
        "give checkpoint, a file for the state of the training, and resume_from to continue from it.",
    ),
    ("num_nodes strategy", "scproto trains on one device of one machine."),
    ("log_every_n_steps use_distributed_sampler", "scproto sets it; leave it out."),
)
"""Advice on arguments of :meth:`scproto.SCPROTO.train`."""


def check_model_arguments(function: Callable[..., Any], given: Iterable[str]) -> None:
    """Refuse arguments that neither :class:`scproto.SCPROTO` nor its network takes."""
    refuse_unknown("SCPROTO", given, model_arguments(function), instead=MODEL)


def model_arguments(function: Callable[..., Any]) -> list[str]:
    """Names of the arguments of :class:`scproto.SCPROTO`, including those of its network."""
    return [name for name in dict.fromkeys([*_named(function), *_named(PrototypeModule)]) if name not in SIZES]


def check_setup_arguments(function: Callable[..., Any], given: Iterable[str]) -> None:
    """Refuse arguments that :meth:`scproto.SCPROTO.setup_anndata` does not take."""
    refuse_unknown("SCPROTO.setup_anndata", given, _named(function), instead=SETUP, also=TRANSFER)


def check_train_arguments(function: Callable[..., Any], given: Iterable[str]) -> None:
    """Refuse arguments that neither :meth:`scproto.SCPROTO.train` nor the trainers behind it take."""
    from lightning.pytorch import Trainer
    from scvi.train import Trainer as ScviTrainer

    trainers = {*_named(ScviTrainer), *_named(Trainer)}
    whose = "scvi.train.Trainer"
    refuse_unknown("SCPROTO.train", given, _named(function), instead=TRAIN, also=trainers, whose=whose)


def _named(function: Callable[..., Any]) -> list[str]:
    """Names of the arguments that a function declares."""
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.name not in ("self", "cls")]


def check_accelerator(accelerator: Any) -> None:
    """Refuse an accelerator that Lightning does not know, or that torch does not find on this machine."""
    import torch
    from lightning.pytorch.accelerators import AcceleratorRegistry

    if not isinstance(accelerator, str):
        return
    names = sorted({"auto", "gpu", *AcceleratorRegistry.available_accelerators()})
    if accelerator not in names:
        raise InputError(f"accelerator={accelerator!r} does not work: give one of {', '.join(names)}.")
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not found.get(accelerator, accelerator != "gpu" or any(found.values())):
        raise InputError(f'torch finds no GPU here for accelerator={accelerator!r}: give "auto" or "cpu".')


def one_device(devices: Any) -> Any:
    """Choose the single device to train on, in the form that Lightning takes.

    Raises
    ------
    InputError
        If several devices are given.
    """
    import torch

    if devices == "auto":
        return 1
    chosen: Any = devices
    if isinstance(devices, str):
        chosen = devices.split(",") if "," in devices else int(devices) if devices.lstrip("-").isdigit() else devices
    if isinstance(chosen, list | tuple):
        several = len([name for name in chosen if name != ""]) > 1
    else:
        several = not isinstance(chosen, str) and (chosen > 1 or (chosen == -1 and torch.cuda.device_count() > 1))
    if several:
        raise InputError(
            f"devices={devices!r} names several, but scproto trains on one: give devices=1, or [1] for the second GPU."
        )
    return devices
