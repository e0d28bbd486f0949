"""Find batches that behave alike, such as the donors of one study."""

from __future__ import annotations

import warnings

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .knn import mutual_neighbors

ENOUGH_CELLS = 32
"""Number of cells of one batch in a minibatch from which they can be assigned by themselves."""

MANY_BATCHES = 8
"""Maximum number of batches for which a minibatch of 256 cells has that many of each."""

ALIKE = 0.15
"""Share of the variance of the cells within a population that the shift of a batch may add to it in its group."""

N_MUTUAL = 10
"""Size of the neighbourhoods in which cells of two batches must find each other, for the first shifts."""

CELLS_PER_POPULATION, MOST_POPULATIONS = 25, 30
"""Mean number of cells of the populations that k-means finds, and their maximum number."""

N_ROUNDS, N_ITERATIONS = 3, 20
"""Number of times that populations are found, and that their means and the shifts are then fitted in turn."""


def alike_batches(points: NDArray[np.floating], batch: NDArray[np.int64], *, seed: int = 0) -> NDArray[np.int64]:
    """Group the batches that behave alike.

    The shift of a batch separates its cells from cells of the same population in other batches. The first shifts are
    those between mutual nearest neighbours. They are then fitted in turn with the means of populations, which k-means
    finds among the cells less their shifts. Batches that only differ in composition therefore have the same shift.

    Ward's method joins the batches with the nearest shifts. It stops before the shift of some batch in its group would
    add more than 15 % to the variance of the cells within a population, and twice what its sampling error adds. So the
    cells of the batches of a group lie among each other.

    Parameters
    ----------
    points
        Coordinates of cells before integration, ``(n_cells, n_dims)``. A few hundred cells per batch are enough.
    batch
        Batch of each cell, integers from 0, ``(n_cells,)``. Each batch needs a cell.
    seed
        Seed of the choice of batches that are compared first, and of k-means.

    Returns
    -------
    group : numpy.ndarray
        Group of each batch, integers from 0 in the order of the batches, ``(n_batches,)``.

    References
    ----------
    Haghverdi et al., Nature Biotechnology 2018 (mutual nearest neighbours).
    """
    x = np.asarray(points, np.float64)
    shift = _first_shifts(x, batch, np.random.default_rng(seed))
    return _join(*_fit_shifts(x, batch, shift, seed))


def some_of_each(batch: NDArray[np.int64], n_each: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw at most `n_each` cells of each batch; their indices in ascending order, ``(n_drawn,)``."""
    order = rng.permutation(len(batch))
    order = order[np.argsort(batch[order], kind="stable")]
    return np.sort(order[place_in_group(batch[order]) < n_each])


def place_in_group(group: NDArray[np.integer]) -> NDArray[np.int64]:
    """Number of earlier members of the same group, for each member of an array, ``(n_members,)``."""
    size = np.bincount(group)
    place = np.empty(len(group), np.int64)
    place[np.argsort(group, kind="stable")] = np.arange(len(group)) - np.repeat(np.cumsum(size) - size, size)
    return place


def _first_shifts(x: NDArray[np.float64], batch: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Fit shifts to the differences between mutual nearest neighbours, ``(n_batches, n_dims)``."""
    n_batches = int(batch.max()) + 1
    pairs = mutual_neighbors(x, batch, N_MUTUAL, rng=rng).to_sparse().tocoo()
    one, other = batch[pairs.row], batch[pairs.col]
    number = np.zeros((n_batches, n_batches))
    np.add.at(number, (one, other), 1.0)
    mean, size = _means(x[pairs.row] - x[pairs.col], one, n_batches)
    laplacian = np.diag(number.sum(1)) - number
    return np.asarray(np.linalg.lstsq(laplacian, mean * size[:, None], rcond=None)[0], np.float64)


def _fit_shifts(
    x: NDArray[np.float64], batch: NDArray[np.int64], shift: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Shift of each batch ``(n_batches, n_dims)``, its squared error ``(n_batches,)``, and variance of the cells."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    n_populations = max(2, min(MOST_POPULATIONS, len(x) // CELLS_PER_POPULATION))
    kmeans = KMeans(n_populations, n_init=1, max_iter=20, random_state=seed)
    size = np.bincount(batch)
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
        unbiased = size / np.maximum(size - 1, 1)
        added = ((shift - mean[group]) ** 2).sum(1) * unbiased[group]
        if (added <= ALIKE * variance + 2 * error).all():
            break
    first = np.unique(group, return_index=True)[1]
    renumbered: NDArray[np.int64] = np.argsort(np.argsort(first))[group]
    return renumbered


def _means(
    x: NDArray[np.float64], group: NDArray[np.integer], n_groups: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean ``(n_groups, n_dims)`` and size ``(n_groups,)`` of each group."""
    size = np.bincount(group, minlength=n_groups)
    member = sp.csr_matrix((np.ones(len(x)), (group, np.arange(len(x)))), (n_groups, len(x)))
    return (member @ x) / np.maximum(size, 1)[:, None], size
