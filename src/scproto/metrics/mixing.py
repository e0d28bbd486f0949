"""Signs, found without labels, that batches are mixed too much or too little: arrays in, floats out.

All of them compare metacells with coordinates from before integration (a PCA of log1p CP10k), where no alignment has
changed the differences within a batch.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from .._arguments import check_seed
from .groups import group_means

MIN_CELLS = 5
"""Minimum number of cells per batch and metacell for a variance of their own, and of cells per cluster of k-means."""

LEAST_SHARED = 0.25
"""Share of the pairs of one batch that chance would give; below it, two metacells hold different batches."""

RARE = 0.01
"""Probability below which chance is no explanation."""

BLOCK = 10_000
"""Number of pairs of metacells that are compared at a time, which limits the memory."""


def structure_kept(
    points: NDArray[np.floating], batch: NDArray[np.int64], metacell: NDArray[np.int64], *, seed: int = 0
) -> float:
    """How much of the structure within the batches the metacells keep.

    This is the variance within batches that the metacells explain, divided by what k-means explains in each batch
    alone, both less what chance explains. K-means gets as many clusters as the batch has metacells, but at most one per
    five cells, as smaller clusters explain mainly noise. Metacells that merge cells which differ within a batch explain
    little.

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
    ends = np.cumsum(np.unique(batch, return_counts=True)[1])
    for cells in np.split(np.argsort(batch, kind="stable"), ends[:-1]):
        x = np.asarray(points[cells], np.float64)
        x -= x.mean(0)
        own = np.unique(metacell[cells], return_inverse=True)[1]
        n_own = int(np.max(own)) + 1
        if not 1 < n_own < len(x):
            continue
        n_clusters = min(n_own, max(2, len(x) // MIN_CELLS))
        left = (len(x) - n_own) / (len(x) - n_clusters)  # chance leaves more to explain to fewer groups
        explained += _beyond_chance(x, own, n_own)
        best += left * _beyond_chance(x, _kmeans(x, n_clusters, seed), n_clusters)
    return float(explained / best) if best > 0 else 1.0


def _kmeans(x: NDArray[np.float64], n_clusters: int, seed: int) -> NDArray[np.int32]:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # identical cells give fewer clusters
        return KMeans(n_clusters, n_init=1, max_iter=20, random_state=seed).fit_predict(x)


def _beyond_chance(x: NDArray[np.float64], group: NDArray[np.integer], n_groups: int) -> float:
    """Sum of squares between groups of centred points, less that of the same number of random groups."""
    mean, size = group_means(x, group, n_groups)
    chance = (x**2).sum() * (n_groups - 1) / (len(x) - 1)
    return float((size * (mean**2).sum(1)).sum() - chance)


@dataclass(frozen=True)
class Disagreement:
    """How far the batches disagree about the metacells.

    Attributes
    ----------
    total
        Share of the variance between metacells on which the batches disagree, in [0, 1].
    of_metacell
        Disagreement in each metacell divided by the variance between metacells, ``(n_metacells,)``; NaN where fewer
        than two batches have cells.
    """

    total: float
    of_metacell: NDArray[np.float64]


def batch_disagreement(
    points: NDArray[np.floating], batch: NDArray[np.int64], metacell: NDArray[np.int64], *, n_iterations: int = 30
) -> Disagreement:
    """How far the batches disagree about the metacells, beyond a shift of the whole batch.

    This is a two-way analysis of variance. The mean of each batch in each metacell is the sum of an effect of the
    metacell, a shift of the batch that is the same in all metacells, and a residual. The residual is large if a
    metacell contains different populations in different batches. The contribution of noise in the means is subtracted,
    so that a mean of one cell counts, too. With fewer than five cells, the variance of all batches in the metacell
    stands for that of the batch.

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
    n_metacells, n_batches = int(np.max(metacell)) + 1, int(np.max(batch)) + 1
    means, table, noise = _two_way(points, batch, metacell, (n_metacells, n_batches))
    weight = table / np.maximum(table.sum(0), 1)  # batches have equal weight
    weight[(weight > 0).sum(1) < 2] = 0
    mass = weight.sum(1)
    if (mass > 0).sum() < 2 or table.max() < 2:  # single cells do not tell a difference from noise
        return Disagreement(0.0, np.full(n_metacells, np.nan))
    share = weight / np.maximum(mass, 1e-300)[:, None]
    part = weight / np.maximum(weight.sum(0), 1e-300)
    of_metacells, of_batches = np.einsum("mb,mbd->md", share, means), np.einsum("mb,mbd->bd", part, means)
    shift = np.zeros_like(of_batches)
    for _ in range(n_iterations):
        effect = of_metacells - share @ shift
        shift = of_batches - part.T @ effect
    residual = np.stack([((m - e - shift) ** 2).sum(1) for m, e in zip(means, effect, strict=True)])
    of_metacell = (share * residual).sum(1) - (share * (1 - share) * noise).sum(1)
    centre = np.average(effect, axis=0, weights=mass)
    between = np.average(((effect - centre) ** 2).sum(1) - (share**2 * noise).sum(1), weights=mass)
    within = max(0.0, float(np.average(of_metacell, weights=mass)))
    between = max(float(between), float(np.finfo(float).tiny))
    of_metacell = np.where(mass > 0, np.maximum(of_metacell, 0) / between, np.nan)
    return Disagreement(within / (within + between), of_metacell)


def _two_way(
    points: NDArray[np.floating], batch: NDArray[np.int64], metacell: NDArray[np.int64], shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Mean, number, and squared standard error of the mean, of the cells of each metacell and batch."""
    x = np.asarray(points, np.float64)
    cell = metacell * shape[1] + batch
    mean, size = group_means(x, cell, shape[0] * shape[1])
    square = np.bincount(cell, np.einsum("cd,cd->c", x, x), minlength=len(size)) - size * (mean**2).sum(1)
    square, table = np.maximum(square, 0).reshape(shape), size.reshape(shape)
    free = np.maximum(table - 1, 0)
    overall = square.sum() / max(free.sum(), 1)
    pooled = (square.sum(1) + overall) / (free.sum(1) + 1)  # defined even where no batch has two cells
    variance = np.where(table >= MIN_CELLS, square / np.maximum(free, 1), pooled[:, None])
    return mean.reshape(*shape, -1), table, variance / np.maximum(table, 1)


def apart_from_partner(
    points: NDArray[np.floating],
    batch: NDArray[np.int64],
    metacell: NDArray[np.int64],
    *,
    n_neighbors: int = 10,
    counts: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Share of each cell's partners whose metacells hold other batches than the cell's own metacell.

    Partners are mutual nearest neighbours from different batches before integration. Two metacells hold different
    batches if a cell of the one and a cell of the other are rarely of the same batch: less than a quarter as often as
    if chance had split all their cells between them. As all batches are judged together, the counts of a single batch
    may be small. Where chance alone may explain the difference (Poisson, 1 %), the metacells are not held to differ.

    Parameters
    ----------
    points
        Coordinates before integration, ``(n_cells, n_dims)``.
    batch, metacell
        Batch and metacell of each cell, integers from 0, ``(n_cells,)``.
    n_neighbors
        Size of the neighbourhoods in which two cells must find each other to be partners.
    counts
        Number of cells of each metacell and batch, ``(n_metacells, n_batches)``, if the given cells are only a sample
        of them. By default, the given cells are counted.

    Returns
    -------
    apart : numpy.ndarray
        Share for each cell, ``(n_cells,)``; NaN if the cell has no partner.

    References
    ----------
    Haghverdi et al., Nature Biotechnology 2018.
    """
    from ..graph import mutual_neighbors

    if counts is None:
        shape = int(np.max(metacell)) + 1, int(np.max(batch)) + 1
        counts = np.bincount(metacell * shape[1] + batch, minlength=shape[0] * shape[1]).reshape(shape)
    pairs = mutual_neighbors(points, batch, n_neighbors).to_sparse().tocoo()
    links, link = np.unique(metacell[pairs.row] * len(counts) + metacell[pairs.col], return_inverse=True)
    differ = _differ(counts, *np.divmod(links, len(counts)))[link]
    n_partners = np.bincount(pairs.row, minlength=len(batch))
    n_apart = np.bincount(pairs.row, differ, minlength=len(batch))
    return np.where(n_partners > 0, n_apart / np.maximum(n_partners, 1), np.nan)


def _differ(table: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the metacells `first` and `second` (rows of the table) hold different batches."""
    rows = sparse.csr_matrix(table.astype(np.float64))
    size, own = table.sum(1).astype(np.float64), (table * (table - 1.0)).sum(1)
    blocks = [slice(i, i + BLOCK) for i in range(0, len(first), BLOCK)]
    same = np.concatenate(  # pairs of cells of the same batch
        [np.zeros(0), *(np.asarray(rows[first[b]].multiply(rows[second[b]]).sum(1)).ravel() for b in blocks)]
    )
    total = size[first] + size[second]
    chance = size[first] * size[second] / (total * (total - 1)) * (own[first] + own[second] + 2 * same)
    return (first != second) & (same < LEAST_SHARED * chance) & (special.pdtr(same, chance) < RARE)
