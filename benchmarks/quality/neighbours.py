"""How often neighbours within a batch carry the label of the cell, with and without the condition to be mutual.

    python benchmarks/quality/neighbours.py data/*.h5ad

Each file needs raw counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``. Rare: fewer than 100 cells.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

import scproto
from scproto.graph import KnnGraph, within_batch_neighbors


def agreement(graph: KnnGraph, labels: np.ndarray, cells: np.ndarray) -> float:
    """Share of the neighbours of some cells that have the cell's label."""
    pairs = graph.to_sparse()[cells].tocoo()
    return float((labels[pairs.col] == labels[cells][pairs.row]).mean()) if pairs.nnz else float("nan")


def main() -> None:
    """Print a row for each data set and size of the neighbourhood."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    rows = []
    for data in parser.parse_args().data:
        adata = anndata.read_h5ad(data)
        scproto.pp.prepare(adata, batch_key="batch")
        labels = adata.obs["cell_type"].astype(str).to_numpy()
        rare = pd.Series(labels).map(pd.Series(labels).value_counts()).to_numpy() < 100
        batch = adata.obs["scproto_batch"].cat.codes.to_numpy(np.int64)
        for k in (5, 10, 15, 30):
            graph = within_batch_neighbors(adata.obsm["X_scproto_pca"], batch, k)
            row = {"data": data.stem, "k": k}
            for name, cells in {"all": np.arange(len(labels)), "rare": np.flatnonzero(rare)}.items():
                row[name] = agreement(graph, labels, cells)
                row[f"{name}, mutual"] = agreement(graph.mutual(), labels, cells)
            rows.append(row)
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
