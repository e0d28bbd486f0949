"""Time one whole fit, stage by stage, from the file of counts to the run folder."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from unittest.mock import patch

import scproto

from .timers import Timers, timed

SITES = {
    "scproto.pp.prepare:_pca": "PCA",
    "scproto.pp.prepare:within_batch_neighbors": "neighbours",
    "scproto.train.plan:PrototypePlan.on_train_epoch_start": "epochs",
    "scproto.train.plan:embed": "embed",
    "scproto.train.look:Look.first": "look",
    "scproto.train.look:Look.again": "look",
    "scproto.train.look:spherical_kmeans": "k-means",
    "scproto.train.look:prototype_shares": "shares",
    "scproto.train.look:density_weights": "density weights",
    "scproto.train.look:mutual_neighbors": "mutual neighbours",
    "scproto.network.module:PrototypeModule.align": "alignment",
    "scproto.model.scproto:settle": "finish",
    "scproto.tl:assign_metacells": "assignment",
}
"""Functions to time, in addition to the stages that :func:`scproto.run.run` times itself."""

LOOK = ("embed", "k-means", "alignment", "shares", "density weights", "mutual neighbours")
"""Parts of a look at the whole embedding."""


def measure(arguments: dict[str, Any]) -> dict[str, Any]:
    """Fit and return the seconds of each stage.

    The arguments are ``source``, ``batch_key`` and ``folder``, which holds the temporary folder of the run. Optional
    are ``max_steps``, ``n_prototypes``, ``n_top_genes``, ``report`` and ``threads``. If ``threads`` is given, the fit
    makes the UMAP without a second process.

    Returns
    -------
    ``stages``, ``looks``: seconds by name. ``total``: seconds of the whole fit. ``peak_memory_mib``: peak resident
    memory of the process plus that of the UMAP process. ``n_cells``, ``n_genes``, ``n_model_genes``, ``n_batches``,
    ``n_prototypes``, ``n_epochs``.
    """
    start = perf_counter()
    from scproto.run import Settings, run
    from scproto.run.stages import load_libraries

    settings = Settings(
        batch_key=tuple(arguments["batch_key"]),
        n_prototypes=arguments.get("n_prototypes", "auto"),
        max_steps=arguments.get("max_steps"),
        threads=arguments.get("threads"),
        accelerator="cpu",
        report=arguments.get("report", True),
    )
    load_libraries(settings.accelerator)
    with TemporaryDirectory(dir=arguments["folder"]) as folder:
        with ExitStack() as stack:
            timers = stack.enter_context(timed(SITES))
            if n_top_genes := arguments.get("n_top_genes"):  # no setting of a run
                preparing = import_module("scproto.pp.prepare")
                prepare = partial(preparing.prepare_counts, n_top_genes=n_top_genes)
                stack.enter_context(patch.object(preparing, "prepare_counts", prepare))
            loaded = perf_counter()  # putting timers around functions has imported their modules
            record = run(arguments["source"], Path(folder) / "run", settings)
        total = perf_counter() - start
        model = scproto.SCPROTO.load(Path(folder) / "run" / "model")
    record["timings"]["Loading libraries"] += loaded - start
    return {
        "stages": stages(record["timings"], timers, total),
        "looks": looks(timers),
        "total": total,
        "peak_memory_mib": record["peak_memory_mib"],
        "n_cells": record["n_cells"],
        "n_genes": record["n_genes"],
        "n_batches": len(record["batches"]),
        "n_model_genes": len(model.gene_names),
        "n_prototypes": len(model.prototypes),
        "n_epochs": len(model.history["loss"]),
    }


def stages(run: dict[str, float], timers: Timers, total: float) -> dict[str, float]:
    """Return the seconds of each stage, in the order of the run; they sum to the total.

    They come from the run's own timings and from the timers of `SITES`.
    """
    joint, finish = timers.first["epochs/embed"], timers.first["finish"]  # start times
    looks, last = timers["epochs"], timers["finish"]
    found = {
        "read": run["Reading"],
        "load libraries": run["Loading libraries"],
        "checks and genes": run["Checking"] + run["Preparing"] - timers["PCA"] - timers["neighbours"],
        "PCA": timers["PCA"],
        "neighbours": timers["neighbours"],
        "set up the training": run["Training"] - (finish - timers.first["epochs"]) - last,
        "warm-up": joint - timers.first["epochs"],
        "joint training": finish - joint - looks,
        "looks between the epochs": looks,
        "last alignment and k-means": last,
        "assignment": timers["assignment"],
        "metacells": run["Metacells"] - timers["assignment"],
        "check": run["Check"],
        "write": run["Writing"],
        "figures": run.get("Figures"),
        "UMAP": run.get("UMAP"),
        "report": run.get("Report"),
    }
    present = {name: seconds for name, seconds in found.items() if seconds is not None}
    return present | {"rest": total - sum(present.values())}


def looks(timers: Timers) -> dict[str, float]:
    """Return the seconds of each part of the looks between the epochs."""
    found = {name: timers[f"epochs/look/{name}"] for name in LOOK} | {"embed": timers["epochs/embed"]}
    return found | {"rest": timers["epochs"] - sum(found.values())}
