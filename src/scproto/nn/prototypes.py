"""Where the prototypes start, and where prototypes without cells start again."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .chunk import CHUNK


def spherical_kmeans(
    unit: NDArray[np.float32],
    n_prototypes: int,
    *,
    weights: NDArray[np.float32] | None = None,
    init: NDArray[np.float32] | None = None,
    n_iterations: int = 25,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Cluster cells by spherical k-means.

    A centre that is nearest to no cell moves into a large cluster. If there are fewer cells than centres, it stays
    where it is. A centre also stays where it is if its cells cancel each other out.

    Parameters
    ----------
    unit
        Unit vectors of cells, ``(n_cells, n_latent)``.
    n_prototypes
        Number of centres.
    weights
        Relative weights of the cells, positive, ``(n_cells,)``. By default, all cells weigh the same.
    init
        Centres to start from, ``(n_prototypes, n_latent)``. By default, k-means++ chooses them from a sample of at most
        20,000 cells, or of 32 per centre if that is more. Random cells would rarely be from a rare population.
    n_iterations
        Number of Lloyd iterations.
    seed
        Seed of the first centres, and of the sample that is drawn if there are more than 1,000 cells per centre.

    Returns
    -------
    centres : numpy.ndarray
        Unit vectors, ``(n_prototypes, n_latent)``.
    """
    import faiss

    unit = np.ascontiguousarray(unit, np.float32)
    weights = np.ones(len(unit), np.float32) if weights is None else np.ascontiguousarray(weights, np.float32)
    weights = weights / weights.mean()  # faiss may loop forever to split a centre that weighs less than one cell
    if init is None and len(unit) >= n_prototypes:
        init = _plus_plus(unit, weights, n_prototypes, seed)
    elif init is None:
        init = unit[np.arange(n_prototypes) % len(unit)]
    if len(unit) < n_prototypes:  # faiss refuses this
        return _move_nearest(unit, weights, init, n_iterations)
    kmeans = faiss.Kmeans(
        unit.shape[1],
        n_prototypes,
        niter=n_iterations,
        spherical=True,
        seed=seed % 2**31 or 1,  # faiss takes 0 as "no seed"
        min_points_per_centroid=1,
        max_points_per_centroid=1000,
    )
    kmeans.train(unit, weights=weights, init_centroids=init)
    return _where_some(np.asarray(kmeans.centroids), init)


def _move_nearest(
    unit: NDArray[np.float32], weights: NDArray[np.float32], centres: NDArray[np.float32], n_iterations: int
) -> NDArray[np.float32]:
    """Run Lloyd iterations that leave centres without cells where they are."""
    for _ in range(n_iterations):
        sums = np.zeros_like(centres)
        np.add.at(sums, (unit @ centres.T).argmax(1), weights[:, np.newaxis] * unit)
        norm = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = _where_some(sums / np.maximum(norm, np.finfo(np.float32).tiny), centres)
    return centres


def _where_some(centres: NDArray[np.float32], before: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace centres that have no direction by those before."""
    return np.where(np.linalg.norm(centres, axis=1, keepdims=True) > 0.5, centres, before)


def _plus_plus(
    unit: NDArray[np.float32], weights: NDArray[np.float32], n_prototypes: int, seed: int
) -> NDArray[np.float32]:
    from sklearn.cluster import kmeans_plusplus

    n_sample = min(len(unit), max(20_000, 32 * n_prototypes))
    sample = np.random.default_rng(seed).choice(len(unit), n_sample, replace=False)
    centres: NDArray[np.float32] = kmeans_plusplus(
        unit[sample], n_prototypes, sample_weight=weights[sample], random_state=seed
    )[0]
    return centres


def nearest_prototype(unit: Tensor, prototypes: Tensor) -> tuple[Tensor, Tensor]:
    """Find the nearest prototype of each cell, in chunks of cells.

    Parameters
    ----------
    unit
        Unit vectors of cells, ``(n_cells, n_latent)``.
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``.

    Returns
    -------
    cosine : Tensor
        Cosine similarity to the nearest prototype, ``(n_cells,)``.
    nearest : Tensor
        Index of the nearest prototype, ``(n_cells,)``.
    """
    cosine, nearest = unit.new_empty(len(unit)), unit.new_empty(len(unit), dtype=torch.long)
    for cells, *out in zip(unit.split(CHUNK), cosine.split(CHUNK), nearest.split(CHUNK), strict=True):
        torch.max(cells @ prototypes.T, dim=1, out=out)
    return cosine, nearest
