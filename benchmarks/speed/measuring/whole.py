"""Part ``whole``: a whole fit beside the usual training of scVI and that of the code published with the paper.

A fit is timed from its start to its end. Of the other trainings a few epochs are timed and multiplied; what they do
before and after does not count.
"""

from __future__ import annotations

import json
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import lightning.pytorch as lightning
from anndata import AnnData

from scproto import _keys
from scproto.metrics import log1p_cp10k

from .loop import read
from .processes import MeasurementError, call
from .setup import Setup
from .throughput import alternate
from .variants import SCVI_HIDDEN, for_scvi

SCRIPT = Path(__file__).parents[1] / "published" / "epochs.py"

SCVI_EPOCHS = 200
PUBLISHED_EPOCHS = 40

TIMED = 2
"""Epochs that are timed, after a first one."""


def measure(arguments: dict[str, Any]) -> dict[str, Any]:
    """Time a whole fit and epochs of the others in turn, as often as asked for.

    Returns
    -------
    ``seconds`` of each by round, ``ratios`` to the fit within each round, ``epochs``: of the trainings; ``sizes``.
    """
    import torch

    setup = Setup.from_json(arguments)
    torch.set_num_threads(setup.threads)
    adata = read(str(setup.source), list(setup.batch_key))
    chosen = for_scvi(adata)
    n_prototypes: list[int] = []

    def fit() -> float:
        found = call("fit", setup.fit, setup.folder / "fits" / "whole.json", setup.threads)["result"]
        n_prototypes.append(found["n_prototypes"])
        return float(found["total"])

    work: dict[str, Callable[[], float]] = {
        "scproto": fit,
        "scvi": lambda: SCVI_EPOCHS * scvi_epoch(chosen),
        "scvi wide": lambda: SCVI_EPOCHS * scvi_epoch(chosen, n_hidden=SCVI_HIDDEN),
    }
    if setup.published:
        work["published"] = lambda: PUBLISHED_EPOCHS * published_epoch(setup, chosen, n_prototypes[-1])
    found = summarise(alternate(work, setup.repeats))
    sizes = {"n_cells": adata.n_obs, "n_model_genes": chosen.n_vars, "n_prototypes": n_prototypes[-1]}
    return found | {"sizes": sizes}


def summarise(seconds: dict[str, list[float]]) -> dict[str, Any]:
    """How many times as long each training takes as the fit, in each round."""
    others = {name: each for name, each in seconds.items() if name != "scproto"}
    ratios = {
        name: [other / fit for other, fit in zip(each, seconds["scproto"], strict=True)]
        for name, each in others.items()
    }
    epochs = {name: PUBLISHED_EPOCHS if name == "published" else SCVI_EPOCHS for name in others}
    return {"seconds": seconds, "ratios": ratios, "epochs": epochs}


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


def scvi_epoch(adata: AnnData, **settings: Any) -> float:
    """Seconds of an epoch of SCVI, its settings by default."""
    from scvi.model import SCVI

    clock = EpochClock()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        SCVI(adata, **settings).train(
            max_epochs=TIMED + 1, accelerator="cpu", enable_progress_bar=False, callbacks=[clock]
        )
    return sum(clock.seconds[1:]) / TIMED


def published_epoch(setup: Setup, counts: AnnData, n_prototypes: int) -> float:
    """Seconds of an epoch of the published code, in its own environment; see ``published/epochs.py``."""
    assert setup.published is not None
    python, checkout = setup.published
    source, out = setup.folder / "inputs" / "published.h5ad", setup.folder / "fits" / "published.json"
    source.parent.mkdir(parents=True, exist_ok=True)
    x = log1p_cp10k(counts.X).toarray()
    AnnData(x, obs=counts.obs[[_keys.BATCH]].set_axis(["batch"], axis=1)).write_h5ad(source)  # may be there of others
    command = [python, str(SCRIPT), checkout, str(source), "--n-prototypes", str(n_prototypes)]
    command += ["--epochs", str(TIMED), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise MeasurementError(f"the published code failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return float(sum(json.loads(out.read_text())["seconds"]) / TIMED)
