"""PCA and k-means: no integration at all."""

from anndata import AnnData
from lab.contract import Arrays, clustered, run


def pca(adata: AnnData, n_metacells: int, seed: int) -> Arrays:
    """Take the PCA of the input as it is."""
    embedding = adata.obsm["X_pca"]
    return clustered(embedding, n_metacells, seed)


if __name__ == "__main__":
    run(pca)
