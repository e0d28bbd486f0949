"""Compare how well markers separate their cell types in cells and in decoded metacells, by AUROC.

    python benchmarks/quality/markers.py blood pbmc.h5ad --n-prototypes blood=30 pbmc=150 --out markers.csv

``blood`` comes with scproto; files need raw counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``.
``markers.csv`` in this folder, or the file given with ``--markers``, lists the labels of each marker; they are compared
with all other labels. Cells have their own label and log1p CP10k. Metacells have the most common label of their cells
and their decoded expression. Each data set is fitted once per seed. The script prints and writes the AUROC in cells,
and the mean, standard deviation and minimum over the seeds in metacells.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

sys.path.append(str(Path(__file__).parents[1]))

from lab import cli, tables
from lab.data import fit, load, numbers_of_metacells

import scproto

MARKERS = Path(__file__).with_name("markers.csv")


def auroc(expression: np.ndarray, labels: np.ndarray, markers: Mapping[str, set[str]]) -> dict[str, float]:
    """Return the AUROC of each gene for its labels against all others, or NaN if there are no others.

    The expression has one column per marker, in the same order. Its scale does not matter: only the ranks count. Rows
    without a label are left out.
    """
    known = ~pd.isna(labels)
    positive = np.column_stack([np.isin(labels[known].astype(str), list(own)) for own in markers.values()])
    return dict(zip(markers, scproto.metrics.marker_auroc(expression[known], positive), strict=True))


def table(
    adata: AnnData, n_prototypes: int, max_steps: int | None, seeds: list[int], wanted: pd.DataFrame
) -> pd.DataFrame:
    """Return one row per marker in the data."""
    wanted = wanted[wanted["gene"].isin(adata.var_names) & wanted["label"].isin(adata.obs["cell_type"])]
    markers = {gene: set(part["label"]) for gene, part in wanted.groupby("gene", sort=False)}
    columns = adata.var_names.get_indexer(list(markers))
    expression = scproto.metrics.log1p_cp10k(adata.X)[:, columns].toarray()
    cells = auroc(expression, adata.obs["cell_type"].to_numpy(object), markers)
    found = []
    for seed in seeds:
        model = fit(adata, max_steps, n_prototypes=n_prototypes, seed=seed)
        metacells = model.get_metacells(label_keys="cell_type")
        labels = metacells.obs["cell_type"].to_numpy(object)
        found.append(auroc(np.asarray(metacells.X)[:, columns], labels, markers))
    of_metacells = pd.DataFrame(found)
    rows = pd.DataFrame({"type": wanted.groupby("gene", sort=False)["type"].first(), "cells": cells})
    rows["metacells_mean"], rows["metacells_sd"] = of_metacells.mean(), of_metacells.std()
    rows["metacells_least"] = of_metacells.min()
    about = {"n_prototypes": n_prototypes, "n_seeds": len(seeds), "gene": list(markers)}
    return rows.reset_index(drop=True).assign(**about)[[*about, *rows]]


def main() -> None:
    """Print and write one row per data set and marker."""
    names = ("data", "--n-prototypes", "--max-steps", "--seeds", "--out")
    parser = cli.parser(__doc__, *names, out=Path("markers.csv"))
    parser.add_argument("--markers", type=Path, default=MARKERS, help="CSV with columns gene, type and label")
    given = parser.parse_args()
    torch.set_num_threads(1)
    wanted = pd.read_csv(given.markers)
    with cli.one_sentence():
        cells = {Path(data).stem: load(data) for data in given.data}
        numbers = numbers_of_metacells(given.n_prototypes, {name: adata.n_obs for name, adata in cells.items()})
    parts = [table(adata, numbers[name], given.max_steps, given.seeds, wanted) for name, adata in cells.items()]
    rows = pd.concat(parts, keys=cells, names=["data", None]).reset_index("data")
    tables.write_csv(given.out, rows, 3)
    print(rows.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
