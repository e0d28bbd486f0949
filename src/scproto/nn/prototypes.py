"""Where the prototypes start, and how those without a cell start again."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def spherical_kmeans(
    unit: NDArray[np.float32],
    n_prototypes: int,
    *,
    init: NDArray[np.float32] | None = None,
    n_iterations: int = 25,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Spherical k-means on the hypersphere.

    Parameters
    ----------
    unit
        Unit vectors, ``(n_cells, n_latent)``.
    n_prototypes
        Number of centres; at most ``n_cells``.
    init
        Centres to start from, ``(n_prototypes, n_latent)``. When left out, k-means++ on a sample of at most 256
        cells a centre: random cells would rarely be of a rare population.
    n_iterations
        Number of Lloyd iterations.
    seed
        Of the first centres, and of the cells where there are more than 1,000 a centre.

    Returns
    -------
    Unit vectors, ``(n_prototypes, n_latent)``.
    """
    import faiss
    from sklearn.cluster import kmeans_plusplus

    unit = np.ascontiguousarray(unit, np.float32)
    if init is None:
        n_sample = min(len(unit), 256 * n_prototypes)
        sample = np.random.default_rng(seed).choice(len(unit), n_sample, replace=False)
        init = kmeans_plusplus(unit[sample], n_prototypes, random_state=seed)[0]
    kmeans = faiss.Kmeans(
        unit.shape[1],
        n_prototypes,
        niter=n_iterations,
        spherical=True,
        seed=seed + 1,  # faiss takes 0 as "no seed"
        min_points_per_centroid=1,
        max_points_per_centroid=1000,
    )
    kmeans.train(unit, init_centroids=init)
    return np.asarray(kmeans.centroids)


def far_points(unit: Tensor, prototypes: Tensor, n_points: int) -> Tensor:
    """Cells to put new prototypes on: each the farthest from all prototypes and from those chosen before.

    Parameters
    ----------
    unit
        Unit vectors of cells, ``(n_cells, n_latent)``.
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``.
    n_points
        How many to choose; at most ``n_cells``.

    Returns
    -------
    Their indices, ``(n_points,)``.
    """
    nearest = (unit @ prototypes.T).max(dim=1).values  # cosine to the nearest prototype
    chosen = []
    for _ in range(n_points):
        farthest = nearest.argmin()
        chosen.append(farthest)
        nearest = torch.maximum(nearest, unit @ unit[farthest])
    return torch.stack(chosen) if chosen else torch.empty(0, dtype=torch.long)
