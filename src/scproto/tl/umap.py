"""One picture of cells and prototypes together."""

from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData

from .._errors import InputError
from .._keys import LATENT, UMAP
from ..graph import nearest_others

N_NEIGHBORS = 15  # scanpy's default
MIN_CELLS = 5  # UMAP's spectral start needs more points than dimensions


def umap(adata: AnnData, metacells: AnnData, seed: int = 0) -> None:
    """Embed cells and prototypes in one UMAP (McInnes et al., 2018).

    Cells and prototypes lie on the same hypersphere, so that one neighbour graph (15 nearest;
    :func:`scproto.graph.nearest`) holds both. The layout is scanpy's with its defaults.

    Parameters
    ----------
    adata
        Cells with ``obsm["X_scproto"]``, ``(n_cells, n_latent)``. ``obsm["X_scproto_umap"]``,
        ``(n_cells, 2)``, is added.
    metacells
        Metacells with ``obsm["X_scproto"]``, ``(n_metacells, n_latent)``. ``obsm["X_scproto_umap"]``,
        ``(n_metacells, 2)``, is added.
    seed
        Seed of the layout.

    Raises
    ------
    InputError
        If an embedding is missing, the two differ in width, or there are fewer than five points in all.
    """
    for name, data in (("cells", adata), ("metacells", metacells)):
        if LATENT not in data.obsm:
            raise InputError(
                f'The {name} have no obsm["{LATENT}"]: run scproto.tl.assign_metacells and model.get_metacells first.'
            )
    cells, prototypes = np.asarray(adata.obsm[LATENT]), np.asarray(metacells.obsm[LATENT])
    if cells.shape[1] != prototypes.shape[1]:
        raise InputError(
            f"The cells have {cells.shape[1]} latent dimensions and the metacells {prototypes.shape[1]}: "
            "take both from the same model."
        )
    points = np.concatenate([cells, prototypes])
    if len(points) < MIN_CELLS:
        raise InputError(f"There are {len(points)} cells and metacells in all: a UMAP needs at least {MIN_CELLS}.")
    layout = _layout(points, seed)
    adata.obsm[UMAP], metacells.obsm[UMAP] = layout[: len(cells)], layout[len(cells) :]


def _layout(points: np.ndarray, seed: int) -> np.ndarray:
    """UMAP coordinates ``(n_points, 2)``, float32, of points ``(n_points, n_latent)`` on the unit sphere."""
    import scanpy as sc

    joint = AnnData(obsm={LATENT: points.astype(np.float32)})
    sc.pp.neighbors(joint, use_rep=LATENT, transformer=_neighbor_search(min(N_NEIGHBORS, len(points) - 1)))
    sc.tl.umap(joint, random_state=seed)
    return np.asarray(joint.obsm["X_umap"], dtype=np.float32)


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
