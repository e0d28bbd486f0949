"""Harmony (Korsunsky et al., Nature Methods 2019) on the PCA with harmonypy's defaults, followed by k-means."""

from anndata import AnnData
from harmonypy import run_harmony
from lab.contract import THREADS, Arrays, clustered, run


def harmony(adata: AnnData, n_metacells: int, seed: int) -> Arrays:
    """Correct the PCA for the batch."""
    embedding = run_harmony(adata.obsm["X_pca"], adata.obs, "batch", random_state=seed, ncores=THREADS).Z_corr
    return clustered(embedding, n_metacells, seed)


if __name__ == "__main__":
    run(harmony)
