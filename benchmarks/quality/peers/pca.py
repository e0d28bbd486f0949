"""PCA and k-means without any integration."""

from anndata import AnnData
from lab.contract import Arrays, clustered, run


def pca(adata: AnnData, n_metacells: int, seed: int) -> Arrays:
    """Cluster the PCA of the input."""
    embedding = adata.obsm["X_pca"]
    return clustered(embedding, n_metacells, seed)


if __name__ == "__main__":
    run(pca)
