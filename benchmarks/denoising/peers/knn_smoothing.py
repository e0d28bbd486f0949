"""Mean of the 15 nearest cells, including the cell itself, in 50 principal components of log1p CP10k."""

import numpy as np
import scanpy as sc
from anndata import AnnData
from lab.contract import Arrays, depth_of, run
from sklearn.neighbors import kneighbors_graph

N_NEIGHBORS = 15


def knn_smoothing(adata: AnnData, seed: int) -> Arrays:
    """Sum counts over neighbours, or average their log1p CP10k."""
    depth = depth_of(adata)
    work = adata.copy()
    sc.pp.normalize_total(work, target_sum=1e4)
    sc.pp.log1p(work)
    sc.pp.pca(work, n_comps=min(50, *(n - 1 for n in work.shape)), random_state=seed)
    n_neighbors = min(N_NEIGHBORS, work.n_obs)
    graph = kneighbors_graph(work.obsm["X_pca"], n_neighbors, include_self=True)
    summed = (graph @ adata.X).toarray().astype(np.float64)
    mean = summed / np.maximum(summed.sum(axis=1, keepdims=True), 1) * depth
    return {"mean": mean, "mean of logs": np.expm1((graph @ work.X).toarray() / n_neighbors) * depth / 1e4}


if __name__ == "__main__":
    run(knn_smoothing)
