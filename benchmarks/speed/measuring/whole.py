"""Part ``whole``: a whole fit compared with the usual training of scVI.

A fit is timed from start to end. For scVI, a few epochs are timed and multiplied; its work before and after training
does not count.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import lightning.pytorch as lightning
import torch
from anndata import AnnData
from lab.data import load

from .setup import Setup
from .throughput import SCVI_HIDDEN, alternate, for_scvi, train_scvi

SCVI_EPOCHS = 200

TIMED = 2
"""Number of timed epochs; one epoch before them does not count."""


def measure(arguments: dict[str, Any]) -> dict[str, Any]:
    """Time a whole fit and epochs of the other trainings in turn, once per round.

    Returns
    -------
    ``seconds`` by round; ``ratios`` to the fit in the same round; ``epochs`` of the other trainings; ``sizes``.
    """
    setup = Setup(**arguments)
    torch.set_num_threads(setup.threads)
    chosen = for_scvi(load(setup.source, setup.batch_key))
    work: dict[str, Callable[[], Any]] = {
        "scproto": partial(setup.fit, "whole"),
        "scvi": lambda: SCVI_EPOCHS * scvi_epoch(chosen),
        "scvi wide": lambda: SCVI_EPOCHS * scvi_epoch(chosen, n_hidden=SCVI_HIDDEN),
    }
    rounds = alternate(work, setup.repeats)
    fits = rounds["scproto"]
    sizes = {"n_cells": chosen.n_obs, "n_model_genes": chosen.n_vars, "n_prototypes": fits[-1]["n_prototypes"]}
    return summarise(rounds | {"scproto": [fit["total"] for fit in fits]}) | {"sizes": sizes}


def summarise(seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Return how many times as long as the fit each training takes, in each round."""
    others = {name: each for name, each in seconds.items() if name != "scproto"}
    ratios = {
        name: [other / fit for other, fit in zip(each, seconds["scproto"], strict=True)]
        for name, each in others.items()
    }
    return {"seconds": seconds, "ratios": ratios, "epochs": dict.fromkeys(others, SCVI_EPOCHS)}


class EpochClock(lightning.Callback):
    """Seconds of each epoch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._start = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        """Start."""
        self._start = perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        """Stop."""
        self.seconds.append(perf_counter() - self._start)


def scvi_epoch(counts: AnnData, **settings: Any) -> float:
    """Return the seconds per epoch of SCVI, with defaults except for the given settings."""
    clock = EpochClock()
    train_scvi(counts, settings, max_epochs=TIMED + 1, accelerator="cpu", callbacks=[clock])
    return sum(clock.seconds[1:]) / TIMED
