"""Scanorama (Hie et al., Nature Biotechnology 2019) with its defaults, followed by k-means."""

import numpy as np
import scanorama
from anndata import AnnData
from lab.contract import Arrays, clustered, run


def scanorama_embedding(adata: AnnData, n_metacells: int, seed: int) -> Arrays:
    """Integrate log1p CP10k of the batches, and put the cells back in their order."""
    totals = np.maximum(np.asarray(adata.X.sum(axis=1)).ravel(), 1)
    adata.X = adata.X.multiply(1e4 / totals[:, None]).tocsr().log1p()
    cells = list(adata.obs.groupby("batch", observed=True).indices.values())
    parts = [adata.X[one] for one in cells]
    genes = [list(adata.var_names)] * len(parts)
    found, _ = scanorama.integrate(parts, genes, seed=seed)
    embedding = np.concatenate(found)[np.argsort(np.concatenate(cells))]
    return clustered(embedding, n_metacells, seed)


if __name__ == "__main__":
    run(scanorama_embedding)
