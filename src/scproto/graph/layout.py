"""Two-dimensional layout of points on the hypersphere."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _scanpy
from .._arguments import check_seed
from .._threads import limit_threads
from .search import nearest_others

N_NEIGHBORS = 15  # scanpy's default

FEW_EPOCHS_FROM = 2_000
"""Points from which 200 epochs do: umap-learn takes 500 up to 10,000 points, for the same trustworthiness."""


MIN_POINTS = 5
"""Points that a UMAP needs, as it starts from eigenvectors of their graph."""


def umap_layout(points: NDArray[np.floating], seed: int = 0) -> NDArray[np.float32]:
    """UMAP of points on the unit sphere, by scanpy on the neighbours of :func:`nearest_others`.

    All is scanpy's default, but that from 2,000 points on, not from 10,000, it has 200 epochs in place of 500. Up to
    four points, too few for a UMAP, are laid out along their principal components.

    Parameters
    ----------
    points
        Unit vectors, ``(n_points, n_latent)``.
    seed
        Seed of the layout.

    Returns
    -------
    ``(n_points, 2)``.

    References
    ----------
    McInnes et al., arXiv:1802.03426 (2018).
    """
    seed = check_seed(seed)
    if len(points) < MIN_POINTS:
        return _components(points)
    search = _neighbor_search(min(N_NEIGHBORS, len(points) - 1))
    n_epochs = 200 if len(points) >= FEW_EPOCHS_FROM else None
    with limit_threads(1):  # a layout with a seed uses no more, and depends on no number of them then
        return _scanpy.umap(np.asarray(points, dtype=np.float32), search, n_epochs, seed)


def _components(points: NDArray[np.floating]) -> NDArray[np.float32]:
    """First two principal components, ``(n_points, 2)``."""
    u, s, _ = np.linalg.svd(points - points.mean(0, keepdims=True), full_matrices=False)
    components = np.zeros((len(points), 2), np.float32)
    components[:, : len(s)] = (u * s)[:, :2]
    return components


def _neighbor_search(n_neighbors: int) -> Any:
    """Search for scanpy: distances to each point itself and its neighbours, a row a point."""
    from scipy.sparse import csr_matrix
    from sklearn.base import BaseEstimator, TransformerMixin

    class NeighborSearch(TransformerMixin, BaseEstimator):
        def __init__(self, n_neighbors: int) -> None:
            self.n_neighbors = n_neighbors

        def fit_transform(self, X: np.ndarray, y: None = None) -> csr_matrix:
            """Distances to the nearest points, CSR ``(n_points, n_points)``."""
            others, cosine = nearest_others(X, self.n_neighbors)
            indices = np.column_stack([np.arange(len(X)), others])
            distance = np.column_stack([np.zeros(len(X), X.dtype), np.sqrt(np.maximum(2.0 - 2.0 * cosine, 0.0))])
            indptr = np.arange(0, indices.size + 1, indices.shape[1])
            return csr_matrix((distance.ravel(), indices.ravel(), indptr), shape=(len(X), len(X)))

    return NeighborSearch(n_neighbors)
