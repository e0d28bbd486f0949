"""Random cells; every cell joins the nearest of them in the PCA."""

import numpy as np
from anndata import AnnData
from lab.contract import Arrays, nearest, run


def random_cells(adata: AnnData, n_metacells: int, seed: int) -> Arrays:
    """Draw the cells without replacement."""
    chosen = np.random.default_rng(seed).choice(adata.n_obs, n_metacells, replace=False)
    return nearest(adata.obsm["X_pca"], chosen)


if __name__ == "__main__":
    run(random_cells)
