"""A joint UMAP of cells and prototypes."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._arguments import check_seed
from .._errors import InputError
from .._keys import LATENT, UMAP
from ..graph import umap_layout


def umap(adata: AnnData, metacells: AnnData, seed: int = 0) -> None:
    """Embed cells and prototypes in one UMAP (McInnes et al., 2018).

    Cells and prototypes share the embedding, so one neighbour graph (15 nearest; :func:`scproto.graph.nearest_others`)
    holds both. scanpy makes the layout (:func:`scproto.graph.umap_layout`).

    Parameters
    ----------
    adata
        Cells with ``obsm["X_scproto"]``, ``(n_cells, n_axes)``. The function adds ``obsm["X_scproto_umap"]``,
        ``(n_cells, 2)``.
    metacells
        Metacells with ``obsm["X_scproto"]``, ``(n_metacells, n_axes)``. The function adds
        ``obsm["X_scproto_umap"]``, ``(n_metacells, 2)``.
    seed
        Seed of the layout.

    Raises
    ------
    InputError
        If an embedding is missing, or the two embeddings have different numbers of dimensions.
    """
    seed = check_seed(seed)
    for name, data in (("cells", adata), ("metacells", metacells)):
        if LATENT not in data.obsm:
            raise InputError(
                f'The {name} have no obsm["{LATENT}"]: run scproto.tl.assign_metacells and model.get_metacells first.'
            )
    cells, prototypes = np.asarray(adata.obsm[LATENT]), np.asarray(metacells.obsm[LATENT])
    if cells.shape[1] != prototypes.shape[1]:
        raise InputError(
            f"The cells have {cells.shape[1]} axes but the metacells have {prototypes.shape[1]}: "
            "take both from the same model."
        )
    set_umap(adata, metacells, umap_layout(np.concatenate([cells, prototypes]), seed))


def set_umap(adata: AnnData, metacells: AnnData, layout: NDArray[np.float32]) -> None:
    """Write a joint layout, ``(n_cells + n_metacells, 2)`` with the cells first, into both objects."""
    adata.obsm[UMAP], metacells.obsm[UMAP] = layout[: adata.n_obs], layout[adata.n_obs :]
