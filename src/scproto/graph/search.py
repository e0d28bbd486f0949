"""Nearest rows of a table by inner product."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

EXACT_UP_TO = 50_000
"""Cells up to which neighbours are searched exactly; the time of that grows with the square of the cells."""

LISTED_FROM = 3000
"""Rows from which lists are faster than looking at all of them."""

N_LISTS = 1.0
"""Lists of a table, in square roots of its rows."""

ENOUGH = 0.95
"""Share of the neighbours of a sample that is enough."""

TRAINED_BY, N_ROUNDS = 64, 10
"""Rows a list that its centre is found by, and rounds of k-means; more take time and find no more neighbours."""

N_SAMPLED = 500
"""Queries by which the recall is told."""

N_JUDGED = 10
"""Neighbours of each of them by which the number of lists is chosen."""


class Search:
    """Nearest rows of one reference for many queries.

    Parameters
    ----------
    reference
        ``(n_reference, n_dims)``.
    exact
        Compare each query with all rows. Otherwise, from 3,000 rows on, rows and queries are listed by the nearest of
        ``sqrt(n)`` k-means centres, and the queries of a list are compared, all in one matrix product, with the rows of
        the lists whose centres are nearest to its own: as many lists as find 95 % of the ten neighbours of a sample of
        the rows.

    Attributes
    ----------
    n_reference
        Rows of the reference.
    n_probed
        Lists that a query is compared with; none where it is compared with all rows.

    References
    ----------
    Sivic and Zisserman, ICCV 2003 (inverted files); Douze et al., IEEE Trans. Big Data 2025 (faiss).
    """

    def __init__(self, reference: NDArray[np.float32], *, exact: bool) -> None:
        self._reference = np.ascontiguousarray(reference, np.float32)
        self.n_reference = len(reference)
        self.n_probed = 0
        if not exact and self.n_reference >= LISTED_FROM:
            self._make_lists()
            ranks = self._ranks(_spread(self._reference, N_SAMPLED), N_JUDGED)
            self.n_probed = int(np.quantile(ranks, ENOUGH, method="inverted_cdf")) + 1

    def _make_lists(self) -> None:
        import faiss

        n_lists = round(N_LISTS * self.n_reference**0.5)
        self._kmeans = faiss.Kmeans(
            self._reference.shape[1],
            n_lists,
            niter=N_ROUNDS,
            spherical=True,
            min_points_per_centroid=1,
            max_points_per_centroid=TRAINED_BY,
        )
        self._kmeans.train(self._reference)
        centres = np.asarray(self._kmeans.centroids)
        self._near = _nearest(centres, centres, n_lists)[0]  # (n_lists, n_lists), of each list itself first
        self._lists = self._listed(self._reference)

    def _listed(self, rows: NDArray[np.float32]) -> list[NDArray[np.int64]]:
        """Which of the rows belong to each list."""
        nearest = self._kmeans.assign(rows)[1]
        order = np.argsort(nearest, kind="stable")
        return np.split(order, np.searchsorted(nearest[order], np.arange(1, len(self._near))))

    def _ranks(self, query: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        """Which list, counted from a query's own, each of its true neighbours is in, ``(n_query, k)``."""
        truth = _nearest(query, self._reference, k)[0]
        ranks = np.argsort(self._near, axis=1)  # (n_lists, n_lists)
        own, theirs = (self._kmeans.assign(rows)[1] for rows in (query, self._reference[truth.ravel()]))
        return ranks[own[:, None], theirs.reshape(truth.shape)]

    def __call__(self, query: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows and inner products for each query, nearest first, each ``(n_query, min(k, n_reference))``."""
        query, k = np.ascontiguousarray(query, np.float32), min(k, self.n_reference)
        if not self.n_probed:
            return _nearest(query, self._reference, k)
        indices, products = np.empty((len(query), k), np.int64), np.empty((len(query), k), np.float32)
        for queries, near in zip(self._listed(query), self._near, strict=True):
            if not len(queries):
                continue
            rows = np.concatenate([self._lists[i] for i in near[: self.n_probed]])
            if len(rows) < k:
                rows = np.arange(self.n_reference)
            found, products[queries] = _nearest(query[queries], self._reference[rows], k)
            indices[queries] = rows[found]
        return indices, products

    def others(self, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Nearest other rows of each row of the reference, ``(n_reference, min(k, n_reference - 1))``.

        Where duplicates hide the row itself, the farthest of those found is left out in its place.
        """
        indices, products = self(self._reference, k + 1)
        is_self = indices == np.arange(self.n_reference)[:, None]
        order = np.argsort(is_self, axis=1, kind="stable")[:, :-1]  # the row itself goes last, and out
        return np.take_along_axis(indices, order, axis=1), np.take_along_axis(products, order, axis=1)

    def recall(self, query: NDArray[np.float32], k: int, n_sampled: int = N_SAMPLED) -> float:
        """Share of the true neighbours that are found, of some of the queries."""
        if not self.n_probed:
            return 1.0
        return float((self._ranks(_spread(query, n_sampled), k) < self.n_probed).mean())


def _nearest(
    query: NDArray[np.float32], rows: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows and inner products for each query by comparison with all rows, each ``(n_query, min(k, n_rows))``."""
    import faiss

    faiss.cvar.distance_compute_blas_threshold = 1  # small tables would go to a slow loop
    products, indices = faiss.knn(query, rows, min(k, len(rows)), metric=faiss.METRIC_INNER_PRODUCT)
    return indices, products


def _spread(rows: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """As many of the rows, at even distances; all if there are fewer."""
    return np.ascontiguousarray(rows[np.linspace(0, len(rows) - 1, min(n, len(rows))).astype(int)])


def log_recall(recall: float, n_cells: int) -> None:
    """Tell how many of the neighbours are found, where it is not all by design."""
    logger.info("Neighbours among %d cells are approximate: %.1f %% are found.", n_cells, 100 * recall)


def nearest_others(points: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Nearest other points of each point by inner product.

    Exact up to 50,000 points; beyond, by :class:`Search` in lists, whose recall on a sample is logged.

    Parameters
    ----------
    points
        ``(n_points, n_dims)``.
    k
        Neighbours a point; all others if there are fewer.

    Returns
    -------
    Their indices and inner products, nearest first, each ``(n_points, min(k, n_points - 1))``.
    """
    exact = len(points) <= EXACT_UP_TO
    search = Search(points, exact=exact)
    if not exact:
        log_recall(search.recall(points, k), len(points))
    return search.others(k)
