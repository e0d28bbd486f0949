"""How often neighbours within a batch carry the label of the cell: by scaling of the genes, and mutual or not.

    python benchmarks/quality/neighbours.py data/*.h5ad

Each file needs raw counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``. Rare: fewer than 100 cells. The
genes are divided by a power of their standard deviation within the batches: 0 leaves them, 0.5 is Pareto scaling, as in
``scproto.pp.prepare``, 1 gives unit variance. "Less noise": components shrunk by the variance of the last one.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scanpy as sc
import scipy.sparse as sp

sys.path.append(str(Path(__file__).parents[1]))

from lab import cli
from lab.data import find_files, load

from scproto.graph import KnnGraph, within_batch_neighbors
from scproto.inputs import read_counts
from scproto.pp.prepare import _deviation_within

N_PCS, N_NEIGHBORS = 50, 10


def embed(adata: anndata.AnnData, power: float, *, less_noise: bool) -> np.ndarray:
    """PCA of log1p CP10k of the model's genes, ``(n_cells, N_PCS)``."""
    work = anndata.AnnData(read_counts(adata).matrix.astype(np.float32))
    sc.pp.normalize_total(work, target_sum=1e4)
    sc.pp.log1p(work)
    work = work[:, adata.var["scproto_gene"].to_numpy()].copy()
    deviation = _deviation_within(work.X, adata.obs["scproto_batch"].array)
    work.X = sp.csr_matrix(work.X.multiply(np.where(deviation > 0, deviation, np.inf) ** -power), dtype=np.float32)
    sc.pp.pca(work, n_comps=N_PCS, random_state=0)
    variance = work.uns["pca"]["variance"]
    return work.obsm["X_pca"] * (np.sqrt(1 - variance[-1] / variance) if less_noise else 1.0)


def agreement(graph: KnnGraph, labels: np.ndarray, cells: np.ndarray) -> float:
    """Share of the neighbours of some cells that have the cell's label."""
    pairs = graph.to_sparse()[cells].tocoo()
    return float((labels[pairs.col] == labels[cells][pairs.row]).mean()) if pairs.nnz else float("nan")


def main() -> None:
    """Print a row for each data set and scaling."""
    rows = []
    with cli.one_sentence():
        files = find_files(cli.parser(__doc__, "files").parse_args().files)
    for data in files:
        adata = load(data)
        labels = adata.obs["cell_type"].astype(str).to_numpy()
        rare = pd.Series(labels).map(pd.Series(labels).value_counts()).to_numpy() < 100
        batch = adata.obs["scproto_batch"].cat.codes.to_numpy(np.int64)
        for power, less_noise in product((0.0, 0.5, 1.0), (False, True)):
            graph = within_batch_neighbors(embed(adata, power, less_noise=less_noise), batch, N_NEIGHBORS)
            row = {"data": data.stem, "power": power, "less noise": less_noise}
            for name, cells in {"all": np.arange(len(labels)), "rare": np.flatnonzero(rare)}.items():
                row[name] = agreement(graph, labels, cells)
                row[f"{name}, mutual"] = agreement(graph.mutual(), labels, cells)
            rows.append(row)
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
