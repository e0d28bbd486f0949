"""Levels of the tree of prototypes, scored without labels and with them.

    python benchmarks/quality/resolution.py data/*.h5ad simulated --n-prototypes 200 --out resolution/

Each file needs raw counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``; ``simulated`` is an atlas of
``scproto.datasets``. Each is fitted once. Each level of the tree is scored by
``scproto.tl.choose_resolution`` (without labels) and by balanced purity times batch entropy (with labels). A model
that is in the output already is not fitted again. Printed: the sweep, and for each data set the level chosen, the
level of one metacell per 75 cells, and what share of the best score over the sweep each of them has.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

import scproto

SIMULATED = {"n_cells": 3000, "n_genes": 1000, "n_batches": 4, "n_types": 8, "composition": "unequal"}
SIMULATED |= {"rare_fraction": 0.02, "depth": 800, "seed": 0}


def load(data: str) -> anndata.AnnData:
    """Cells of a file, or simulated ones; prepared."""
    adata = scproto.datasets.simulate_atlas(**SIMULATED) if data == "simulated" else anndata.read_h5ad(data)
    scproto.pp.prepare(adata, batch_key="batch")
    return adata


def fit(
    adata: anndata.AnnData, folder: Path, n_prototypes: int | str, max_steps: int | None, seed: int
) -> scproto.SCPROTO:
    """Train a model, or read the one that is there."""
    if folder.exists():
        return scproto.SCPROTO.load(folder)
    scproto.SCPROTO.setup_anndata(adata)
    model = scproto.SCPROTO(adata, n_prototypes=n_prototypes, seed=seed)
    model.train(max_steps, enable_progress_bar=False)
    model.save(folder)
    return model


def sweep(adata: anndata.AnnData, model: scproto.SCPROTO) -> tuple[pd.DataFrame, int]:
    """Scores of each level without and with labels, and the level that is chosen without."""
    found = scproto.tl.choose_resolution(adata, model)
    labels, batches = adata.obs["cell_type"].astype(str), adata.obs["batch"].astype(str)
    rows = []
    for n in found.table["n"]:
        scproto.tl.assign_metacells(adata, model, n=int(n))
        scores = scproto.metrics.metacell_scores(adata.obs["metacell"].astype(str), labels, batches)
        rows.append({name: scores[name] for name in ("purity", "balanced_purity", "batch_entropy")})
    table = pd.concat([found.table, pd.DataFrame(rows)], axis=1)
    table["composite"] = table["balanced_purity"] * table["batch_entropy"]
    return table, found.best


def main() -> None:
    """Print the sweep of each data set and how the choices compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--n-prototypes", type=lambda text: text if text == "auto" else int(text), default="auto")
    parser.add_argument("--max-steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("resolution"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    choices = []
    for data in arguments.data:
        name = f"{Path(data).stem}_k{arguments.n_prototypes}_seed{arguments.seed}"
        adata = load(data)
        model = fit(adata, arguments.out / name, arguments.n_prototypes, arguments.max_steps, arguments.seed)
        table, best = sweep(adata, model)
        table.to_csv(arguments.out / f"{name}.csv", index=False)
        print(f"{name}\n{table.round(3).to_string(index=False)}\n")
        score = table.set_index("n")["composite"]
        rule = score.index[np.abs(np.log(score.index * 75 / adata.n_obs)).argmin()]
        choices.append(
            {
                "data": Path(data).stem,
                "best by labels": score.idxmax(),
                "chosen": best,
                "share of the best": score[best] / score.max(),
                "one per 75 cells": rule,
                "its share of the best": score[rule] / score.max(),
            }
        )
    print(pd.DataFrame(choices).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
