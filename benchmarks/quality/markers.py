"""Whether markers tell their cell types better in decoded metacells than in cells: the AUROC of each.

    python benchmarks/quality/markers.py blood pbmc.h5ad --n-prototypes blood=30 pbmc=150 --out markers.csv

``blood`` comes with scproto; files need raw counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``. Which
labels a gene is a marker of stands in ``markers.csv`` beside this file, or in what ``--markers`` names; it is told
from all other labels. A cell has its own label and log1p CP10k, a metacell the most common label of its cells and its
decoded expression. Each data set is fitted once a seed. Printed, and written to ``--out``: the AUROC in cells, and in
metacells its mean, standard deviation and least over the seeds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from comparison.inputs import numbers_of_metacells
from deletion import read

import scproto
from scproto._errors import InputError

MARKERS = Path(__file__).with_name("markers.csv")


def auroc(expression: np.ndarray, labels: np.ndarray, markers: Mapping[str, set[str]]) -> dict[str, float]:
    """AUROC of each gene for its labels against all others.

    Parameters
    ----------
    expression
        One column for each marker, in their order, ``(n_obs, n_markers)``, on any scale: only the ranks count.
    labels
        Label of each row, ``(n_obs,)``. Rows without a label are left out.
    markers
        Labels that each gene is a marker of.

    Returns
    -------
    From 0 to 1 for each gene; NaN where all rows are of its labels, or none is.
    """
    known = ~pd.isna(labels)
    positive = np.column_stack([np.isin(labels[known].astype(str), list(own)) for own in markers.values()])
    return dict(zip(markers, scproto.metrics.marker_auroc(expression[known], positive), strict=True))


def fit(adata: AnnData, n_prototypes: int, max_steps: int | None, seed: int) -> AnnData:
    """Metacells of a fit to prepared cells."""
    model = scproto.SCPROTO(adata, n_prototypes=n_prototypes, seed=seed)
    model.train(max_steps, enable_progress_bar=False)
    return model.get_metacells(label_keys="cell_type")


def table(data: str, n_prototypes: int, max_steps: int | None, seeds: list[int], wanted: pd.DataFrame) -> pd.DataFrame:
    """A row for each marker that the data have."""
    adata = read(data)
    scproto.SCPROTO.setup_anndata(adata)
    wanted = wanted[wanted["gene"].isin(adata.var_names) & wanted["label"].isin(adata.obs["cell_type"])]
    markers = {gene: set(part["label"]) for gene, part in wanted.groupby("gene", sort=False)}
    columns = adata.var_names.get_indexer(list(markers))
    expression = scproto.metrics.log1p_cp10k(adata.X)[:, columns].toarray()
    cells = auroc(expression, adata.obs["cell_type"].to_numpy(object), markers)
    found = []
    for seed in seeds:
        metacells = fit(adata, n_prototypes, max_steps, seed)
        labels = metacells.obs["cell_type"].to_numpy(object)
        found.append(auroc(np.asarray(metacells.X)[:, columns], labels, markers))
    of_metacells = pd.DataFrame(found)
    rows = pd.DataFrame({"type": wanted.groupby("gene", sort=False)["type"].first(), "cells": cells})
    rows["metacells_mean"], rows["metacells_sd"] = of_metacells.mean(), of_metacells.std()
    rows["metacells_least"] = of_metacells.min()
    about = {"data": Path(data).stem, "n_prototypes": n_prototypes, "n_seeds": len(seeds), "gene": list(markers)}
    return rows.reset_index(drop=True).assign(**about)[[*about, *rows]]


def main() -> None:
    """Print and write a row for each data set and marker."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--n-prototypes", nargs="+", default=[], metavar="K|NAME=K")
    parser.add_argument("--max-steps", type=int, help="steps of the training; else the package's own number")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--markers", type=Path, default=MARKERS, help="CSV with columns gene, type and label")
    parser.add_argument("--out", type=Path, default=Path("markers.csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    wanted = pd.read_csv(arguments.markers)
    sizes = [SimpleNamespace(name=Path(data).stem, n_cells=read(data).n_obs) for data in arguments.data]
    try:
        numbers = numbers_of_metacells(arguments.n_prototypes, sizes)
    except InputError as error:
        sys.exit(str(error))
    parts = [
        table(data, numbers[Path(data).stem], arguments.max_steps, arguments.seeds, wanted) for data in arguments.data
    ]
    rows = pd.concat(parts)
    rows.to_csv(arguments.out, index=False, float_format="%.3f")
    print(rows.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
