"""PCA and k-means: no integration at all."""

from __future__ import annotations

from typing import Any

from contract import Result, kmeans, run


def pca(adata: Any, n_metacells: int, seed: int) -> Result:
    """Take the PCA of the input as it is."""
    embedding = adata.obsm["X_pca"]
    return Result(kmeans(embedding, n_metacells, seed), embedding)


if __name__ == "__main__":
    run(pca)
