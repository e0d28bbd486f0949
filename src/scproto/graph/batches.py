"""Find batches that behave alike, such as the donors of one study."""

from __future__ import annotations

import warnings

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

ENOUGH_CELLS = 32
"""Number of cells of one batch in a minibatch from which they can be assigned by themselves."""

MANY_BATCHES = 8
"""Maximum number of batches for which a minibatch of 256 cells has that many of each."""

ALIKE = 0.15
"""Share of the variance of the cells within a population that the shift of a batch may add to it in its group."""

CELLS_PER_BATCH = 250
"""Maximum number of cells of each batch from which its shift is estimated."""

CELLS_PER_POPULATION, MOST_POPULATIONS = 25, 30
"""Mean number of cells of the populations that k-means finds, and their maximum number."""

N_ROUNDS = 5
"""Number of times that the populations are found anew among the cells less their shifts."""

N_ITERATIONS = 20
"""Number of times that shifts and means of the populations are fitted in turn."""


def alike_batches(points: NDArray[np.floating], batch: NDArray[np.int64], *, seed: int = 0) -> NDArray[np.int64]:
    """Group the batches that behave alike.

    The shift of a batch separates its cells from cells of the same population in other batches. Shifts are fitted in
    turn with the means of the populations, which k-means finds among the cells less their shifts. Batches that only
    differ in composition therefore have the same shift. Ward's method joins the batches with the nearest shifts. It
    stops before the shift of some batch, beyond its sampling error, would add more than 15 % to the variance of the
    cells within a population: so the cells of the batches in a group lie among each other.

    Parameters
    ----------
    points
        Coordinates of the cells before integration, ``(n_cells, n_dims)``.
    batch
        Batch of each cell, integers from 0, ``(n_cells,)``. Each batch needs a cell.
    seed
        Seed of the choice of cells and of k-means.

    Returns
    -------
    group : numpy.ndarray
        Group of each batch, integers from 0 in the order of the batches, ``(n_batches,)``. Up to eight batches are
        each a group of their own, since a minibatch has enough cells of each.
    """
    n_batches = int(batch.max()) + 1
    if n_batches <= MANY_BATCHES:
        return np.arange(n_batches)
    drawn = _some_of_each(batch, np.random.default_rng(seed))
    return _join(*_shifts(np.asarray(points[drawn], np.float64), batch[drawn], seed))


def _means(
    x: NDArray[np.float64], group: NDArray[np.integer], n_groups: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean ``(n_groups, n_dims)`` and size ``(n_groups,)`` of each group."""
    size = np.bincount(group, minlength=n_groups)
    member = sp.csr_matrix((np.ones(len(x)), (group, np.arange(len(x)))), (n_groups, len(x)))
    return (member @ x) / np.maximum(size, 1)[:, None], size


def _some_of_each(batch: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw cells, at most so many of each batch."""
    order = rng.permutation(len(batch))
    order = order[np.argsort(batch[order], kind="stable")]
    size = np.bincount(batch)
    place = np.arange(len(order)) - np.repeat(np.cumsum(size) - size, size)  # place of each cell within its batch
    return order[place < CELLS_PER_BATCH]


def _shifts(
    x: NDArray[np.float64], batch: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Shift of each batch ``(n_batches, n_dims)``, its squared error ``(n_batches,)``, and variance of the cells."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    n_populations = max(2, min(MOST_POPULATIONS, len(x) // CELLS_PER_POPULATION))
    kmeans = KMeans(n_populations, n_init=1, max_iter=20, random_state=seed)
    shift, size = _means(x, batch, int(batch.max()) + 1)
    for _ in range(N_ROUNDS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # identical cells give fewer clusters
            population = kmeans.fit_predict(x - shift[batch])
        for _ in range(N_ITERATIONS):
            centre = _means(x - shift[batch], population, n_populations)[0]
            shift = _means(x - centre[population], batch, len(size))[0]
            shift -= shift.mean(0)
    variance = float(((x - centre[population] - shift[batch]) ** 2).sum(1).mean())
    return shift, variance / size, variance


def _join(shift: NDArray[np.float64], error: NDArray[np.float64], variance: float) -> NDArray[np.int64]:
    """Join shifts by Ward's method into the fewest groups in each of which they are alike."""
    from scipy.cluster.hierarchy import fcluster, linkage

    tree = linkage(shift, "ward")
    for n_groups in range(1, len(shift) + 1):
        group = fcluster(tree, n_groups, "maxclust") - 1
        mean, size = _means(shift, group, int(group.max()) + 1)
        n = size[group]
        beyond_error = ((shift - mean[group]) ** 2).sum(1) * n / np.maximum(n - 1, 1) - error
        if (beyond_error <= ALIKE * variance).all():
            break
    first = np.unique(group, return_index=True)[1]
    renumbered: NDArray[np.int64] = np.argsort(np.argsort(first))[group]
    return renumbered
