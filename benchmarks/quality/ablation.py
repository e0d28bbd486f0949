"""Change one thing of scproto at a time and score the result.

    python benchmarks/quality/ablation.py data/*.h5ad --n-prototypes 60 --seeds 0 1 2 --out ablation.csv

Each file needs raw counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``. The rows that are in the output
already are not computed again. The table on standard output gives mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import anndata
import numpy as np
import pandas as pd
import torch

import scproto
from scproto.graph import KnnGraph
from scproto.nn import density_weights, prototype_shares

WITHOUT_SWITCH = ("shares", "power", "cross", "n_starts")
"""What :func:`changed` changes; all else goes to the model."""

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "no alignment": {"n_alignment": 0},
    "1 round of alignment": {"n_alignment": 1},
    "4 rounds of alignment": {"n_alignment": 4},
    "equal shares": {"shares": lambda own, pooled, equal: equal},
    "own shares": {"shares": lambda own, pooled, equal: (2 * own + equal) / 3},
    "pooled shares": {"shares": lambda own, pooled, equal: (2 * pooled + equal) / 3},
    "no density weights": {"power": 0.0},
    "density weights, power 1": {"power": 1.0},
    "no pairs across batches": {"cross": False},
    "one start of the last k-means": {"n_starts": 1},
    "reconstruction, weight 0.01": {"weight_cvae": 0.01},
    "reconstruction, weight 0.1": {"weight_cvae": 0.1},
    "no propagation": {"weight_propagation": 0.0},
    "propagation of the worst 5 %": {"worst": 0.05},
    "propagation of the worst 5 %, 1 % trimmed": {"worst": 0.05, "trim": 0.01},
    "relax 0.5": {"relax": 0.5},
    "relax 0.3": {"relax": 0.3},
    "temperature 0.05, epsilon 0.025": {"temperature": 0.05, "epsilon": 0.025},
    "temperature 0.2": {"temperature": 0.2},
    "epsilon 0.1": {"epsilon": 0.1},
    "latent 8": {"n_latent": 8},
    "latent 32": {"n_latent": 32},
    "steps 1,500": {"max_steps": 1500},
    "steps 6,000": {"max_steps": 6000},
}


@contextmanager
def changed(
    shares: Callable[..., Any] | None = None,
    power: float | None = None,
    cross: bool = True,
    n_starts: int | None = None,
) -> Iterator[None]:
    """Change what has no switch in the package, for as long as a fit takes."""
    from scproto.model import scproto as model
    from scproto.train import plan

    def mixed(unit: Any, batch: Any, prototypes: Any, n_batches: int) -> Any:
        three = prototype_shares(unit, batch, prototypes, n_batches) * 3 - 1 / len(prototypes)  # own + pooled
        pooled = three.mean(0) / 2  # the mean of the batches' own shares is the pooled one
        return shares(three - pooled, pooled, torch.full_like(three, 1 / len(prototypes)))

    with ExitStack() as stack:
        if shares is not None:
            stack.enter_context(patch.object(plan, "prototype_shares", mixed))
        if power is not None:
            for module in (plan, model):
                stack.enter_context(patch.object(module, "density_weights", partial(density_weights, power=power)))
        if not cross:
            nobody = lambda unit, *_, **__: KnnGraph(np.full((len(unit), 1), -1))  # noqa: E731
            stack.enter_context(patch.object(plan, "mutual_neighbors", nobody))
        if n_starts is not None:
            stack.enter_context(patch.object(model, "N_STARTS", n_starts))
        yield


def score(data: Path, seed: int, n_prototypes: int, constants: dict[str, Any]) -> dict[str, float]:
    """Fit with some constants changed; return the scores."""
    constants = dict(constants)
    max_steps = constants.pop("max_steps", None)
    inside = {name: constants.pop(name) for name in WITHOUT_SWITCH if name in constants}
    adata = anndata.read_h5ad(data)
    scproto.pp.prepare(adata, batch_key="batch", seed=seed)
    scproto.SCPROTO.setup_anndata(adata)
    model = scproto.SCPROTO(adata, n_prototypes=n_prototypes, seed=seed, **constants)
    with changed(**inside):
        model.train(max_steps=max_steps, enable_progress_bar=False)
    scproto.tl.assign_metacells(adata, model)
    labels, batches = adata.obs["cell_type"].astype(str), adata.obs["batch"].astype(str)
    integration = scproto.metrics.integration_scores(adata.obsm["X_scproto"], labels, batches)
    metacells = scproto.metrics.metacell_scores(adata.obs["metacell"].astype(str), labels, batches)
    return {key: integration[key] for key in ("total", "bio", "batch")} | metacells


def main() -> None:
    """Score every variant on every data set and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--n-prototypes", type=int, required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS), metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("ablation.csv"))
    arguments = parser.parse_args()
    keys = ["variant", "data", "seed", "n_prototypes"]
    rows = pd.read_csv(arguments.out).to_dict("records") if arguments.out.exists() else []
    done = {tuple(row[key] for key in keys) for row in rows}
    for variant in arguments.variants:
        for data in arguments.data:
            for seed in arguments.seeds:
                row = (variant, data.stem, seed, arguments.n_prototypes)
                if row not in done:
                    scores = score(data, seed, arguments.n_prototypes, VARIANTS[variant])
                    rows.append(dict(zip(keys, row, strict=True)) | scores)
                    pd.DataFrame(rows).to_csv(arguments.out, index=False)
    table = pd.DataFrame(rows).drop(columns="seed").groupby(keys[:2] + keys[3:], sort=False).agg(["mean", "std"])
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
