"""scanpy's functions for arrays; only this module wraps arrays into AnnData objects for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse


def log1p_cp10k(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Scale counts ``(n_cells, n_genes)`` to 10,000 per cell and take log1p; cells without counts stay zero."""
    import scanpy as sc
    from anndata import AnnData

    cells = AnnData(counts.astype(np.float32))
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    return sparse.csr_matrix(cells.X)


def variable_genes(expression: sparse.csr_matrix, n_genes: int) -> NDArray[np.bool_]:
    """Mask of the highly variable genes of log1p CP10k, ``(n_genes,)``."""
    import scanpy as sc
    from anndata import AnnData

    cells = AnnData(expression)
    sc.pp.highly_variable_genes(cells, n_top_genes=n_genes)
    genes: NDArray[np.bool_] = cells.var["highly_variable"].to_numpy()
    return genes


def normalised_dispersion(expression: sparse.csr_matrix, names: pd.Index) -> pd.Series:
    """Dispersion of genes by name, normalised within bins of the mean; NaN or infinite if a bin is uniform."""
    import scanpy as sc
    from anndata import AnnData

    cells = AnnData(expression, var=pd.DataFrame(index=names))
    with np.errstate(invalid="ignore"):  # rounding makes some variances negative
        dispersion: pd.Series = sc.pp.highly_variable_genes(cells, inplace=False)["dispersions_norm"]
    del cells.X  # AnnData refers to itself, so Python frees it late
    return dispersion


def pca(expression: sparse.csr_matrix, n_components: int) -> NDArray[np.float64]:
    """Principal components, ``(n_cells, n_components)``."""
    import scanpy as sc
    from anndata import AnnData

    cells = AnnData(expression)
    sc.pp.pca(cells, n_comps=n_components)
    return np.asarray(cells.obsm["X_pca"], dtype=np.float64)


def diffusion_map(
    points: NDArray[np.float32], n_components: int, n_neighbors: int, search: str, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Diffusion map of points.

    Parameters
    ----------
    points
        Coordinates ``(n_points, n_dims)``.
    n_components
        Number of components, including the constant one.
    n_neighbors
        Size of the neighbourhoods.
    search
        ``"sklearn"`` for exact neighbours, ``"pynndescent"`` for approximate ones.
    seed
        Seed of the neighbour search and the eigenvectors.

    Returns
    -------
    map : tuple of numpy.ndarray, or None
        Eigenvectors ``(n_points, n_components)`` and eigenvalues ``(n_components,)``; None if points coincide, so
        that the connectivities are not finite.
    """
    import scanpy as sc
    from anndata import AnnData

    cells = AnnData(np.zeros((len(points), 0), dtype=np.float32), obsm={"x": points})
    with np.errstate(invalid="ignore"):  # where points coincide
        sc.pp.neighbors(
            cells, n_neighbors=n_neighbors, use_rep="x", method="gauss", transformer=search, random_state=seed
        )
    if not np.isfinite(cells.obsp["connectivities"].data).all():
        return None
    sc.tl.diffmap(cells, n_comps=n_components, random_state=seed)
    vectors: NDArray[np.float64] = np.asarray(cells.obsm["X_diffmap"], dtype=np.float64)
    return vectors, np.asarray(cells.uns["diffmap_evals"], dtype=np.float64)


def umap(points: NDArray[np.float32], search: Any, n_epochs: int | None, seed: int) -> NDArray[np.float32]:
    """UMAP of points.

    Parameters
    ----------
    points
        Coordinates ``(n_points, n_dims)``.
    search
        Transformer in scikit-learn's form that finds the neighbours.
    n_epochs
        Number of epochs of the layout; None for umap-learn's default.
    seed
        Seed of the layout.

    Returns
    -------
    layout : numpy.ndarray
        Coordinates ``(n_points, 2)``.
    """
    import scanpy as sc
    from anndata import AnnData

    joint = AnnData(obsm={"X": points})
    sc.pp.neighbors(joint, use_rep="X", transformer=search)
    sc.tl.umap(joint, maxiter=n_epochs, random_state=seed)
    return np.asarray(joint.obsm["X_umap"], dtype=np.float32)
