"""Signs, found without labels, that batches are mixed too much or too little: arrays in, floats out.

All of them compare metacells with coordinates from before integration (a PCA of log1p CP10k), where no alignment has
changed the differences within a batch.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._arguments import check_seed
from .groups import group_means

MIN_CELLS = 5
"""Minimum number of cells of a batch in a metacell for their mean to be used."""


def structure_kept(
    points: NDArray[np.floating], batch: NDArray[np.int64], metacell: NDArray[np.int64], *, seed: int = 0
) -> float:
    """How much of the structure within the batches the metacells keep.

    This is the variance within batches that the metacells explain, divided by what k-means explains in each batch
    alone. K-means gets as many clusters as the batch has metacells. Metacells that merge cells which differ within a
    batch explain little.

    Parameters
    ----------
    points
        Coordinates before integration, ``(n_cells, n_dims)``.
    batch, metacell
        Batch and metacell of each cell, integers ``(n_cells,)``.
    seed
        Seed of k-means.

    Returns
    -------
    kept : float
        About 0 for random metacells, about 1 for metacells as good as k-means; 1 if there is nothing to explain.
    """
    seed = check_seed(seed)
    explained = best = 0.0
    for b in np.unique(batch):
        x = np.asarray(points[batch == b], np.float64)
        x -= x.mean(0)
        own = np.unique(metacell[batch == b], return_inverse=True)[1]
        n_clusters = int(np.max(own)) + 1
        if n_clusters == 1:
            continue
        # subtract what the same number of random groups explains by chance
        chance = (x**2).sum() * (n_clusters - 1) / max(1, len(x) - 1)
        explained += _between(x, own, n_clusters) - chance
        best += _between(x, _kmeans(x, n_clusters, seed), n_clusters) - chance
    return float(explained / best) if best > 0 else 1.0


def _kmeans(x: NDArray[np.float64], n_clusters: int, seed: int) -> NDArray[np.int32]:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # identical cells give fewer clusters
        return KMeans(n_clusters, n_init=1, max_iter=20, random_state=seed).fit_predict(x)


def _between(x: NDArray[np.float64], group: NDArray[np.integer], n_groups: int) -> float:
    """Sum of squares between groups of centred points."""
    mean, size = group_means(x, group, n_groups)
    return float((size * (mean**2).sum(1)).sum())


@dataclass(frozen=True)
class Disagreement:
    """How far the batches disagree about the metacells.

    Attributes
    ----------
    total
        Share of the variance between metacells on which the batches disagree, in [0, 1].
    of_metacell
        Disagreement in each metacell divided by the variance between metacells, ``(n_metacells,)``; NaN where fewer
        than two batches have enough cells.
    """

    total: float
    of_metacell: NDArray[np.float64]


def batch_disagreement(
    points: NDArray[np.floating], batch: NDArray[np.int64], metacell: NDArray[np.int64], *, n_iterations: int = 30
) -> Disagreement:
    """How far the batches disagree about the metacells, beyond a shift of the whole batch.

    This is a two-way analysis of variance. The mean of each batch in each metacell is the sum of an effect of the
    metacell, a shift of the batch that is the same in all metacells, and a residual. The residual is large if a
    metacell contains different populations in different batches. The contribution of noise in the means is subtracted.

    Parameters
    ----------
    points
        Coordinates before integration, ``(n_cells, n_dims)``.
    batch, metacell
        Batch and metacell of each cell, integers from 0, ``(n_cells,)``.
    n_iterations
        Number of times that shifts and effects are fitted in turn.

    Returns
    -------
    disagreement : Disagreement
        Disagreement in total and in each metacell.
    """
    x = np.asarray(points, np.float64)
    n_metacells, n_batches = int(np.max(metacell)) + 1, int(np.max(batch)) + 1
    cell = metacell * n_batches + batch
    mean, size = group_means(x, cell, n_metacells * n_batches)
    square = np.bincount(cell, ((x - mean[cell]) ** 2).sum(1), minlength=len(size))
    noise = (square / np.maximum(size * (size - 1), 1)).reshape(n_metacells, n_batches)
    means = mean.reshape(n_metacells, n_batches, -1)
    table = size.reshape(n_metacells, n_batches)
    weight = np.where(table >= MIN_CELLS, table / np.maximum(table.sum(0), 1), 0.0)  # batches have equal weight
    weight[(weight > 0).sum(1) < 2] = 0
    of_metacell = np.full(n_metacells, np.nan)
    if (weight.sum(1) > 0).sum() < 2:
        return Disagreement(0.0, of_metacell)
    share = weight / np.maximum(weight.sum(1, keepdims=True), 1e-300)
    shift = np.zeros(means.shape[1:])
    for _ in range(n_iterations):
        effect = (share[:, :, None] * (means - shift)).sum(1)
        rest = means - effect[:, None]
        shift = (weight[:, :, None] * rest).sum(0) / np.maximum(weight.sum(0), 1e-300)[:, None]
    residual = ((means - effect[:, None] - shift) ** 2).sum(2)
    of_metacell = (share * residual).sum(1) - (share * (1 - share) * noise).sum(1)
    mass = weight.sum(1)
    centre = np.average(effect, axis=0, weights=mass)
    between = np.average(((effect - centre) ** 2).sum(1) - (share**2 * noise).sum(1), weights=mass)
    within = max(0.0, float(np.average(of_metacell, weights=mass)))
    between = max(float(between), float(np.finfo(float).tiny))
    of_metacell = np.where(mass > 0, np.maximum(of_metacell, 0) / between, np.nan)
    return Disagreement(within / (within + between), of_metacell)


def apart_from_partner(
    points: NDArray[np.floating],
    batch: NDArray[np.int64],
    metacell: NDArray[np.int64],
    *,
    n_neighbors: int = 10,
    least: float = 0.1,
) -> NDArray[np.bool_]:
    """Find cells whose partners are mostly in batches that are nearly absent from the cell's metacell.

    Partners are mutual nearest neighbours from different batches before integration. A batch is nearly absent from a
    metacell if its share is below a tenth of the largest batch's, after all batches are weighted to the same size.

    Parameters
    ----------
    points
        Coordinates before integration, ``(n_cells, n_dims)``.
    batch, metacell
        Batch and metacell of each cell, integers from 0, ``(n_cells,)``.
    n_neighbors
        Size of the neighbourhoods in which two cells must find each other to be partners.
    least
        Share, relative to the largest batch, below which a batch is nearly absent.

    Returns
    -------
    apart : numpy.ndarray
        Boolean, ``(n_cells,)``: whether the cell has partners and most of them are in nearly absent batches.

    References
    ----------
    Haghverdi et al., Nature Biotechnology 2018.
    """
    from ..graph import mutual_neighbors

    shape = int(np.max(metacell)) + 1, int(np.max(batch)) + 1
    table = np.bincount(metacell * shape[1] + batch, minlength=shape[0] * shape[1]).reshape(shape)
    share = table / np.maximum(table.sum(0), 1)
    absent = share < least * share.max(1, keepdims=True)
    pairs = mutual_neighbors(points, batch, n_neighbors).to_sparse().tocoo()
    n_partners = np.bincount(pairs.row, minlength=len(batch))
    n_apart = np.bincount(pairs.row, absent[metacell[pairs.row], batch[pairs.col]], minlength=len(batch))
    return n_apart > 0.5 * n_partners
