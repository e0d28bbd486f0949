"""Score the levels of the prototype tree without labels and with them.

    python benchmarks/quality/resolution.py data/*.h5ad simulated --n-prototypes 200 --out resolution/

Each file needs raw counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``; ``simulated`` is an atlas of
``scproto.datasets``. Each data set is fitted once. ``scproto.tl.choose_resolution`` scores each level of the tree
without labels; balanced purity times batch entropy scores it with labels. A model that the output already contains is
not fitted again. The script prints all scores. For each data set, it also prints the chosen level, the level with one
metacell per 75 cells, and the score of both as a share of the best score of any level.
"""

from __future__ import annotations

import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

sys.path.append(str(Path(__file__).parents[1]))

from lab import cli, tables
from lab.data import fit, load, numbers_of_metacells

import scproto


def sweep(adata: anndata.AnnData, model: scproto.SCPROTO) -> tuple[pd.DataFrame, int]:
    """Return the scores of each level without and with labels, and the level chosen without labels."""
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
    """Print the scores of each data set, and how the choices compare."""
    parser = cli.parser(__doc__, "data", "--n-prototypes", "--max-steps", "--seed", "--out", out=Path("resolution"))
    given = parser.parse_args()
    choices = []
    for data in given.data:
        stem = Path(data).stem
        with cli.one_sentence():
            adata = load(data)
            number = numbers_of_metacells(given.n_prototypes, {stem: adata.n_obs})[stem]
        name = f"{stem}_k{number}_seed{given.seed}"
        model = fit(adata, given.max_steps, given.out / name, n_prototypes=number, seed=given.seed)
        table, best = sweep(adata, model)
        tables.write_csv(given.out / f"{name}.csv", table)
        print(f"{name}\n{table.round(3).to_string(index=False)}\n")
        score = table.set_index("n")["composite"]
        rule = score.index[np.abs(np.log(score.index * 75 / adata.n_obs)).argmin()]
        choices.append(
            {
                "data": stem,
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
