"""scanpy's functions on arrays: what needs an AnnData object for them is here alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse


def log1p_cp10k(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Scale counts ``(n_cells, n_genes)`` to 10,000 per cell, then log1p; cells without counts stay zero."""
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
    """Dispersion of genes, normalised within bins of their mean, by name; NaN or infinite where a bin is uniform."""
    import scanpy as sc
    from anndata import AnnData

    cells = AnnData(expression, var=pd.DataFrame(index=names))
    with np.errstate(invalid="ignore"):  # rounding makes some variances negative
        dispersion: pd.Series = sc.pp.highly_variable_genes(cells, inplace=False)["dispersions_norm"]
    del cells.X  # AnnData refers to itself, so it is freed late
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
    """Eigenvectors ``(n_points, n_components)`` and eigenvalues of the diffusion map; None without distances.

    Parameters
    ----------
    points
        ``(n_points, n_dims)``.
    n_components
        Number of components, the constant one among them.
    n_neighbors
        Size of the neighbourhoods.
    search
        ``"sklearn"`` for exact neighbours, ``"pynndescent"`` for approximate ones.
    seed
        Seed of the neighbour search and the eigenvectors.
    """
    import scanpy as sc
    from anndata import AnnData

    cells = AnnData(np.zeros((len(points), 0), dtype=np.float32), obsm={"x": points})
    with np.errstate(invalid="ignore"):  # where there are no distances
        sc.pp.neighbors(
            cells, n_neighbors=n_neighbors, use_rep="x", method="gauss", transformer=search, random_state=seed
        )
    if not np.isfinite(cells.obsp["connectivities"].data).all():
        return None
    sc.tl.diffmap(cells, n_comps=n_components, random_state=seed)
    vectors: NDArray[np.float64] = np.asarray(cells.obsm["X_diffmap"], dtype=np.float64)
    return vectors, np.asarray(cells.uns["diffmap_evals"], dtype=np.float64)


def umap(points: NDArray[np.float32], search: Any, n_epochs: int | None, seed: int) -> NDArray[np.float32]:
    """UMAP of points, ``(n_points, 2)``.

    Parameters
    ----------
    points
        ``(n_points, n_dims)``.
    search
        Finds the neighbours, in the form of scikit-learn's transformers.
    n_epochs
        Length of the layout; None for the default of umap-learn.
    seed
        Seed of the layout.
    """
    import scanpy as sc
    from anndata import AnnData

    joint = AnnData(obsm={"X": points})
    sc.pp.neighbors(joint, use_rep="X", transformer=search)
    sc.tl.umap(joint, maxiter=n_epochs, random_state=seed)
    return np.asarray(joint.obsm["X_umap"], dtype=np.float32)
