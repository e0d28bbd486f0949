"""Two-dimensional layout of points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _scanpy
from .._arguments import check_seed
from .._threads import limit_threads
from .search import euclidean_search, nearest_others

N_NEIGHBORS = 15  # scanpy's default

FEW_EPOCHS_FROM = 2_000
"""Number of points from which 200 epochs suffice. Up to 10,000, umap-learn runs 500 for the same trustworthiness."""

N_PLACED = 5
"""Number of points of a layout between which another point is placed."""

MIN_POINTS = 5
"""Minimum number of points for a UMAP, which starts from eigenvectors of their graph."""


def umap_layout(points: NDArray[np.floating], seed: int = 0) -> NDArray[np.float32]:
    """Lay out points by scanpy's UMAP, with the neighbours that :func:`nearest_others` finds.

    All settings are scanpy's defaults except the number of epochs: it falls from 500 to 200 at 2,000 points instead of
    10,000. Four points or fewer are too few for a UMAP and are laid out along their principal components.

    Parameters
    ----------
    points
        Coordinates, ``(n_points, n_dims)``.
    seed
        Seed of the layout.

    Returns
    -------
    layout : numpy.ndarray
        Coordinates of the points, ``(n_points, 2)``.

    Raises
    ------
    InputError
        If the seed is out of range.

    References
    ----------
    McInnes et al., arXiv:1802.03426 (2018).
    """
    seed = check_seed(seed)
    if len(points) < MIN_POINTS:
        return _components(points)
    search = _neighbor_search(min(N_NEIGHBORS, len(points) - 1))
    n_epochs = 200 if len(points) >= FEW_EPOCHS_FROM else None
    with limit_threads(1):  # seeded UMAP uses one anyway; this keeps the result independent of the number
        return _scanpy.umap(np.asarray(points, dtype=np.float32), search, n_epochs, seed)


def place_on(
    points: NDArray[np.floating], reference: NDArray[np.floating], layout: NDArray[np.floating], k: int = N_PLACED
) -> NDArray[np.float32]:
    """Place points on an existing layout, at the mean of their nearest points there, weighted by nearness.

    Parameters
    ----------
    points
        Coordinates of the points to place, ``(n_points, n_dims)``.
    reference
        Coordinates of the points of the layout, ``(n_reference, n_dims)``.
    layout
        Their places, ``(n_reference, 2)``.
    k
        Number of nearest points.

    Returns
    -------
    places : numpy.ndarray
        Places of the points, ``(n_points, 2)``.
    """
    near, squared = euclidean_search(reference)(points, k)
    distance = np.sqrt(np.maximum(squared, 0))
    weight = 1 / np.maximum(distance, 1e-6 * float(distance.max(initial=1e-30)))
    weight /= weight.sum(axis=1, keepdims=True)
    return np.einsum("nk,nkd->nd", weight, np.asarray(layout)[near]).astype(np.float32)


def _components(points: NDArray[np.floating]) -> NDArray[np.float32]:
    """First two principal components, ``(n_points, 2)``."""
    u, s, _ = np.linalg.svd(points - points.mean(0, keepdims=True), full_matrices=False)
    components = np.zeros((len(points), 2), np.float32)
    components[:, : len(s)] = (u * s)[:, :2]
    return components


def _neighbor_search(n_neighbors: int) -> Any:
    """Neighbour search for scanpy: distances from each point to itself and its neighbours, one row per point."""
    from scipy.sparse import csr_matrix
    from sklearn.base import BaseEstimator, TransformerMixin

    class NeighborSearch(TransformerMixin, BaseEstimator):
        def __init__(self, n_neighbors: int) -> None:
            self.n_neighbors = n_neighbors

        def fit_transform(self, X: np.ndarray, y: None = None) -> csr_matrix:
            """Distances to the nearest points, CSR ``(n_points, n_points)``."""
            others, squared = nearest_others(X, self.n_neighbors)
            indices = np.column_stack([np.arange(len(X)), others])
            distance = np.column_stack([np.zeros(len(X), X.dtype), np.sqrt(np.maximum(squared, 0.0))])
            indptr = np.arange(0, indices.size + 1, indices.shape[1])
            return csr_matrix((distance.ravel(), indices.ravel(), indptr), shape=(len(X), len(X)))

    return NeighborSearch(n_neighbors)
