"""scGraph (Wang et al., Nature Biotechnology 2025): distances between cell types in an embedding.

The reference is the distances between the types in a separate PCA of each batch, where no batch effect can interfere.
All types have equal weight, whether rare or common.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from .. import _scanpy
from .._errors import InputError
from .groups import finite_matrix, gene_matrix, group_codes

N_GENES = 1000
N_COMPONENTS = 10
LOG_CEILING = 20.0
"""Log-transformed expression stays below this (log1p of a million counts is 13.8)."""

Distances = NDArray[np.float64]


def scgraph_scores(
    embedding: ArrayLike,
    expression: ArrayLike | sparse.spmatrix | sparse.sparray,
    labels: ArrayLike,
    batches: ArrayLike,
    *,
    min_batch_cells: int = 100,
    min_label_cells: int = 10,
    trim: float = 0.05,
) -> dict[str, float]:
    """Score how well an embedding keeps the distances between cell types. For all scores, higher is better.

    Parameters
    ----------
    embedding
        Coordinates of the cells, ``(n_cells, n_dims)``.
    expression
        log1p CP10k, ``(n_cells, n_genes)``, dense or sparse.
    labels
        Known cell type of each cell, ``(n_cells,)``.
    batches
        Batch of each cell, ``(n_cells,)``.
    min_batch_cells
        Minimum number of cells for a batch to be used for the reference.
    min_label_cells
        Minimum number of cells for a type to be used, over all batches.
    trim
        Share of a type's cells that its centroid leaves out at each end of each coordinate.

    Returns
    -------
    scores : dict of str to float
        ``rank_pca`` (Spearman), ``corr_pca`` (Pearson) and ``corr_weighted`` (Pearson weighted by 1 / distance, so that
        near types matter most), each in [-1, 1]. Each type's relative distances to all types in the embedding are
        correlated with those in the reference, and the correlations are averaged over types. Types that are in no
        large batch are left out.

    Raises
    ------
    InputError
        If the shapes do not match, a value is missing or not finite, the expression is not log-transformed, no batch
        is large enough, a large batch has fewer than two genes that vary, or the large batches have fewer than three
        types.
    """
    coordinates, x = finite_matrix(embedding, "embedding"), gene_matrix(expression)
    if x.shape[0] != len(coordinates):
        raise InputError(
            f"The embedding has {len(coordinates)} cells, the expression {x.shape[0]}: give the same cells."
        )
    if x.nnz and x.data.max() > LOG_CEILING:
        raise InputError(f"The expression reaches {x.data.max():.4g}: give log1p CP10k (metrics.log1p_cp10k).")
    label_codes, label_names = group_codes(labels, len(coordinates), "label")
    batch_codes, _ = group_codes(batches, len(coordinates), "batch")
    large = np.flatnonzero(np.bincount(batch_codes) >= min_batch_cells)
    if not len(large):
        raise InputError(f"No batch has {min_batch_cells} cells: scGraph needs at least one batch of this size.")
    n_labels = len(label_names)
    common = np.bincount(label_codes) >= min_label_cells

    def distances(points: NDArray[np.float64], codes: NDArray[np.int64]) -> Distances:
        return relative_distances(np.where(common[:, None], trimmed_centroids(points, codes, n_labels, trim), np.nan))

    per_batch = []
    for batch in large:
        cells = np.flatnonzero(batch_codes == batch)
        per_batch.append(distances(_components(x[cells]), label_codes[cells]))
    known = np.isfinite(per_batch).any(axis=(0, 1))
    if known.sum() < 3:
        raise InputError(
            f"Batches of at least {min_batch_cells} cells hold {known.sum()} labels of at least {min_label_cells} "
            "cells: scGraph needs at least three."
        )
    return distance_correlations(distances(coordinates, label_codes), consensus_distances(np.stack(per_batch)))


def trimmed_centroids(
    coordinates: NDArray[np.float64], codes: NDArray[np.int64], n_groups: int, trim: float
) -> NDArray[np.float64]:
    """Trimmed mean of each group, per coordinate.

    Parameters
    ----------
    coordinates
        Coordinates of the cells, ``(n_cells, n_dims)``.
    codes
        Group of each cell, ``(n_cells,)``, in ``range(n_groups)``.
    n_groups
        Number of groups.
    trim
        Share of the cells left out at each end, in [0, 0.5).

    Returns
    -------
    centroids : numpy.ndarray
        Trimmed means, ``(n_groups, n_dims)``; NaN for a group without cells.
    """
    from scipy.stats import trim_mean

    centroids = np.full((n_groups, coordinates.shape[1]), np.nan)
    for group in np.unique(codes):
        centroids[group] = trim_mean(coordinates[codes == group], trim, axis=0)
    return centroids


def relative_distances(centroids: NDArray[np.float64]) -> Distances:
    """Distances between groups, ``(n_groups, n_groups)``, each column divided by its largest; NaN for absent groups."""
    from scipy.spatial.distance import cdist

    return _over_largest(cdist(centroids, centroids))


def consensus_distances(distances: Distances) -> Distances:
    """Mean of the relative distances over batches, each column again divided by its largest value.

    Parameters
    ----------
    distances
        Relative distances in each batch, ``(n_batches, n_groups, n_groups)``; NaN for groups that a batch lacks.

    Returns
    -------
    consensus : numpy.ndarray
        Relative distances, ``(n_groups, n_groups)``; NaN for pairs of groups that share no batch.
    """
    present = np.isfinite(distances)
    total, n_batches = np.where(present, distances, 0).sum(axis=0), present.sum(axis=0)
    return _over_largest(np.divide(total, n_batches, out=np.full(total.shape, np.nan), where=n_batches > 0))


def distance_correlations(distances: Distances, consensus: Distances) -> dict[str, float]:
    """Correlate each column of an embedding's distances with that of the consensus, and average over columns.

    Parameters
    ----------
    distances, consensus
        Relative distances, ``(n_groups, n_groups)``. Pairs of groups for which either distance is NaN are left out.

    Returns
    -------
    scores : dict of str to float
        ``rank_pca``, ``corr_pca`` and ``corr_weighted``. As in the authors' code, the first two include the distance of
        a group to itself (0), and all three leave out groups without a correlation, such as those with at most one
        other group.
    """
    from scipy.stats import rankdata

    columns = []
    for own, reference in zip(distances.T, consensus.T, strict=True):
        both = np.isfinite(own) & np.isfinite(reference)
        x, y = own[both], reference[both]
        alike = np.ones(len(x))
        near = np.divide(1.0, y, out=np.zeros_like(y), where=y > 0)
        columns.append(
            (_correlation(rankdata(x), rankdata(y), alike), _correlation(x, y, alike), _correlation(x, y, near))
        )
    scores = zip(("rank_pca", "corr_pca", "corr_weighted"), np.array(columns).T, strict=True)
    return {
        name: float(values[told].mean()) if (told := np.isfinite(values)).any() else np.nan for name, values in scores
    }


def _components(expression: sparse.csr_matrix) -> NDArray[np.float64]:
    """PCA of one batch's highly variable genes, ``(n_cells, 10)``."""
    from sklearn.utils.sparsefuncs import mean_variance_axis

    if (mean_variance_axis(expression, axis=0)[1] > 0).sum() < 2:
        raise InputError("Fewer than two genes vary within a batch: scGraph needs at least two to compare cell types.")
    expression = expression.astype(np.float32)
    genes = _scanpy.variable_genes(expression, min(N_GENES, expression.shape[1]))
    chosen = expression[:, genes]
    return _scanpy.pca(chosen, min(N_COMPONENTS, chosen.shape[0] - 1, chosen.shape[1] - 1))


def _over_largest(distances: Distances) -> Distances:
    """Divide each column by its largest value; NaN stays, and a column of zeros becomes NaN."""
    largest = np.where(np.isnan(distances), 0, distances).max(axis=0)
    return np.divide(distances, largest, out=np.full(distances.shape, np.nan), where=largest > 0)


def _correlation(x: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Weighted Pearson correlation; NaN if either does not vary where the weights are positive."""
    if (weights > 0).sum() < 2:
        return float("nan")
    x, y = x - np.average(x, weights=weights), y - np.average(y, weights=weights)
    variances = (weights * x**2).sum(), (weights * y**2).sum()
    if min(variances) <= 1e-24 * weights.sum():
        return float("nan")
    return float((weights * x * y).sum() / np.sqrt(variances[0] * variances[1]))
