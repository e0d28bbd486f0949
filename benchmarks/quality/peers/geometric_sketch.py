"""Geometric sketching (Hie et al., Cell Systems 2019); every cell joins the nearest cell of the sketch."""

import numpy as np
from anndata import AnnData
from geosketch import gs
from lab.contract import Arrays, nearest, run


def geometric_sketch(adata: AnnData, n_metacells: int, seed: int) -> Arrays:
    """Sketch the PCA."""
    embedding = adata.obsm["X_pca"]
    return nearest(embedding, np.asarray(gs(embedding, n_metacells, replace=False, seed=seed)))


if __name__ == "__main__":
    run(geometric_sketch)
