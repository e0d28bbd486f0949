"""Part ``throughput``: cells per second in the training steps, compared with scVI."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Any

import torch
from anndata import AnnData
from lab.data import load
from scvi.model import SCVI

from scproto.model import SCPROTO
from scproto.train.schedule import WARM_UP as WARM_UP_SHARE

from .loop import EPOCHS, JOINT, WARM_UP, Clock, short_training
from .setup import Setup

SCVI_HIDDEN = 256
"""Width of scVI's layers, equal to that of scproto's layers."""

SCVI_TRAIN_SHARE = 0.9
"""Share of the cells that scVI trains on by default."""

Seconds = Mapping[str, list[float]]
"""Seconds per step in each epoch that counts, by phase of the training."""


def measure(arguments: dict[str, Any], accelerator: str = "cpu") -> dict[str, Any]:
    """Time all variants in turn in this process, once per round; every second round reverses their order.

    Returns
    -------
    ``cells_per_second``, ``warm_up_ms`` and ``joint_ms`` (per step) by variant, and ``ratios``, each with one value per
    round; ``skipped``: variants for which there are too few cells; ``sizes``.
    """
    setup = Setup(**arguments)
    torch.set_num_threads(setup.threads)
    adata = load(setup.source, setup.batch_key)
    SCPROTO.setup_anndata(adata)
    steps = setup.sizes["steps"]
    work: dict[str, Callable[[], Seconds]] = {}
    skipped = {}
    for name, (method, size) in variants(setup.sizes).items():
        if size > adata.n_obs or (method == "scvi" and _full_minibatches(adata.n_obs, size) < 2):
            skipped[name] = "too few cells"
        else:
            work[name] = partial(scvi if method == "scvi" else ours, adata, size, steps, accelerator)
    sizes = {"n_cells": adata.n_obs, "n_model_genes": int(adata.var["scproto_gene"].sum())}
    sizes["n_batches"] = adata.obs["scproto_batch"].nunique()
    found = summarise(alternate(work, setup.repeats), variants(setup.sizes))
    return found | {"skipped": skipped, "sizes": sizes, "steps": steps}


def variants(sizes: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    """Return the method and the cells per minibatch of each variant, by name."""
    pairs = [("scproto", size) for size in sizes["batch_sizes"]]
    pairs += [("scvi", size) for size in sizes["scvi_batch_sizes"]]
    return {f"{method} {size}": (method, size) for method, size in pairs}


def ours(adata: AnnData, batch_size: int, steps: int, accelerator: str) -> Seconds:
    """Time the steps of ``model.train`` of scproto."""
    clock = Clock()
    with short_training(), clock.watch():
        SCPROTO(adata).train(
            EPOCHS * steps,
            batch_size=batch_size,
            accelerator=accelerator,
            early_stopping=False,
            enable_progress_bar=False,
        )
    return {"warm_up": clock.seconds[WARM_UP], "joint": clock.seconds[JOINT]}


def scvi(adata: AnnData, batch_size: int, steps: int, accelerator: str) -> Seconds:
    """Time SCVI of scvi-tools on the same genes, with layers as wide as scproto's and defaults otherwise."""
    clock = Clock()
    train_scvi(
        for_scvi(adata),
        {"n_hidden": SCVI_HIDDEN},
        max_epochs=EPOCHS,
        batch_size=batch_size,
        limit_train_batches=min(steps, _full_minibatches(adata.n_obs, batch_size)),
        accelerator=accelerator,
        callbacks=[clock],
    )
    return {"step": clock.seconds[1:]}


def for_scvi(adata: AnnData) -> AnnData:
    """Return the counts of the model's genes and the batches, registered for scVI."""
    chosen = adata[:, adata.var["scproto_gene"].to_numpy(bool)]
    layer = adata.uns["scproto"]["prepare"]["layer"]
    counts = AnnData(chosen.X if layer == "X" else chosen.layers[layer], obs=adata.obs[["scproto_batch"]].copy())
    SCVI.setup_anndata(counts, batch_key="scproto_batch")
    return counts


def train_scvi(counts: AnnData, settings: Mapping[str, Any], **training: Any) -> None:
    """Train SCVI without its warnings and its progress bar."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        SCVI(counts, **settings).train(enable_progress_bar=False, **training)


def _full_minibatches(n_cells: int, batch_size: int) -> int:
    """Return the number of full minibatches in scVI's share of the cells."""
    return int(SCVI_TRAIN_SHARE * n_cells) // batch_size


def alternate(work: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[Any]]:
    """Return the results of each function by round; every second round reverses the order to be fair."""
    results: dict[str, list[Any]] = {name: [] for name in work}
    for i in range(repeats):
        for name in list(work)[:: 1 if i % 2 == 0 else -1]:
            results[name].append(work[name]())
    return results


def summarise(rounds: Mapping[str, Sequence[Seconds]], names: Mapping[str, tuple[str, int]]) -> dict[str, Any]:
    """Return cells per second, and scproto's speed relative to scVI's faster minibatch size in the same round."""
    speeds = {name: [names[name][1] / seconds_of_step(one) for one in each] for name, each in rounds.items()}
    best = [max(each) for each in zip(*(speeds[name] for name in speeds if names[name][0] == "scvi"), strict=True)]
    found: dict[str, Any] = {"cells_per_second": speeds, "ratios": {}}
    for name, each in speeds.items():
        if names[name][0] == "scproto" and best:
            found["ratios"][name] = {"scvi": [a / b for a, b in zip(each, best, strict=True)]}
    for phase in ("warm_up", "joint"):
        timed = {name: each for name, each in rounds.items() if phase in each[0]}
        found[f"{phase}_ms"] = {name: [1e3 * median(one[phase]) for one in each] for name, each in timed.items()}
    return found


def seconds_of_step(phases: Seconds) -> float:
    """Return seconds per step over a whole training, with warm-up and joint steps weighted by their share."""
    if "step" in phases:
        return median(phases["step"])
    return WARM_UP_SHARE * median(phases["warm_up"]) + (1 - WARM_UP_SHARE) * median(phases["joint"])
