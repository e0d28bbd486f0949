"""Harmony (Korsunsky et al., Nature Methods 2019) on the PCA, with harmonypy's defaults, and k-means."""

from __future__ import annotations

from typing import Any

from contract import THREADS, Result, kmeans, run
from harmonypy import run_harmony


def harmony(adata: Any, n_metacells: int, seed: int) -> Result:
    """Correct the PCA for the batch."""
    embedding = run_harmony(adata.obsm["X_pca"], adata.obs, "batch", random_state=seed, ncores=THREADS).Z_corr
    return Result(kmeans(embedding, n_metacells, seed), embedding)


if __name__ == "__main__":
    run(harmony)
