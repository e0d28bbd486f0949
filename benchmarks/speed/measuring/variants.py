"""What part ``throughput`` compares: each variant trains for a moment and tells the seconds of its steps."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

from anndata import AnnData

from scproto import _keys
from scproto.model import SCPROTO

from .loop import EPOCHS, JOINT, WARM_UP, Clock, PlainRunner, short_training
from .textbook import textbook

SCVI_HIDDEN = 256
"""Width of scVI's layers: that of scproto's."""

SCVI_TRAIN_SHARE = 0.9
"""Share of the cells that scVI trains on by default."""


@dataclass(frozen=True)
class Bench:
    """What all variants train on."""

    adata: AnnData
    """Prepared cells."""
    steps: int
    """Steps of an epoch."""
    accelerator: str = "cpu"


Seconds = dict[str, list[float]]
"""Seconds of a step in each epoch that counts, by phase of the training."""


def ours(bench: Bench, batch_size: int) -> Seconds:
    """The package as it is, by ``model.train``."""
    clock = Clock()
    with short_training(), clock.watch():
        _train(bench, batch_size)
    return _phases(clock)


def plain(bench: Bench, batch_size: int) -> Seconds:
    """The same module, minibatches and optimiser in a loop without Lightning."""
    clock = Clock()
    with short_training(PlainRunner), clock.watch():
        _train(bench, batch_size)
    return _phases(clock)


def dense(bench: Bench, batch_size: int) -> Seconds:
    """The same model with dense input and the textbook likelihood of all genes in float32."""
    with textbook():
        return ours(bench, batch_size)


def scvi(bench: Bench, batch_size: int) -> Seconds:
    """SCVI of scvi-tools on the same genes, its layers as wide as scproto's, all else by default."""
    from scvi.model import SCVI

    clock = Clock()
    adata = for_scvi(bench.adata)
    model = SCVI(adata, n_hidden=SCVI_HIDDEN)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.train(
            max_epochs=EPOCHS,
            batch_size=batch_size,
            limit_train_batches=min(bench.steps, full_minibatches(adata.n_obs, batch_size)),
            accelerator=bench.accelerator,
            enable_progress_bar=False,
            callbacks=[clock],
        )
    return {"step": clock.seconds[1:]}


METHODS: dict[str, Callable[[Bench, int], Seconds]] = {"scproto": ours, "plain": plain, "dense": dense, "scvi": scvi}


def full_minibatches(n_cells: int, batch_size: int) -> int:
    """Minibatches of full size that scVI makes of its share of the cells."""
    return int(SCVI_TRAIN_SHARE * n_cells) // batch_size


def _train(bench: Bench, batch_size: int) -> None:
    model = SCPROTO(bench.adata)
    model.train(
        EPOCHS * bench.steps,
        batch_size=batch_size,
        accelerator=bench.accelerator,
        early_stopping=False,
        enable_progress_bar=False,
    )


def _phases(clock: Clock) -> Seconds:
    return {"warm_up": clock.seconds[WARM_UP], "joint": clock.seconds[JOINT]}


def for_scvi(adata: AnnData) -> AnnData:
    """Counts of the model's genes, registered for scVI."""
    from scvi.model import SCVI

    layer = adata.uns[_keys.UNS]["prepare"]["layer"]
    chosen = adata[:, adata.var[_keys.GENES].to_numpy(bool)]
    counts = AnnData(chosen.X if layer == "X" else chosen.layers[layer], obs=adata.obs[[_keys.BATCH]].copy())
    SCVI.setup_anndata(counts, batch_key=_keys.BATCH)
    return counts
