"""Nearest rows of a table, by inner product or Euclidean distance."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

EXACT_UP_TO = 50_000
"""Maximum number of cells for an exact search, whose time grows with the square of this number."""

LISTED_FROM = 3000
"""Number of rows from which a search in lists is faster than a comparison with all rows."""

N_LISTS = 1.0
"""Number of lists, as a multiple of the square root of the number of rows."""

ENOUGH = 0.95
"""Share of the neighbours of a sample that the search must find."""

TRAINED_BY, N_ROUNDS = 64, 10
"""Rows per list that train the centres, and rounds of k-means. More take time and find no more neighbours."""

N_SAMPLED = 500
"""Number of queries from which the recall is estimated."""

N_JUDGED = 10
"""Number of neighbours of each of these queries by which the number of lists to search is chosen."""


class Search:
    """Search for the rows of one reference that are nearest to each of many queries.

    Parameters
    ----------
    reference
        Rows to search, ``(n_reference, n_dims)``.
    exact
        Whether to compare each query with all rows. If not, and from 3,000 rows on, rows and queries are listed by the
        nearest of ``sqrt(n)`` k-means centres. One matrix product compares all queries of a list with the rows of the
        lists whose centres are nearest to its own. The search uses as many lists as find 95 % of the ten
        nearest neighbours of a sample of the rows.
    euclidean
        Whether the nearest rows are those at the smallest distance instead of those with the largest inner product.

    Attributes
    ----------
    n_reference
        Number of rows of the reference.
    n_probed
        Number of lists that each query is compared with; 0 if it is compared with all rows.

    References
    ----------
    Sivic and Zisserman, ICCV 2003 (inverted files); Douze et al., IEEE Trans. Big Data 2025 (faiss).
    """

    def __init__(self, reference: NDArray[np.float32], *, exact: bool, euclidean: bool = False) -> None:
        self._reference = np.ascontiguousarray(reference, np.float32)
        self.n_reference = len(reference)
        self.n_probed = 0
        self._euclidean = euclidean
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
            spherical=not self._euclidean,
            min_points_per_centroid=1,
            max_points_per_centroid=TRAINED_BY,
        )
        self._kmeans.train(self._reference)
        centres = np.asarray(self._kmeans.centroids)
        self._near = self._nearest(centres, centres, n_lists)[0]  # (n_lists, n_lists); each list itself comes first
        self._lists = self._listed(self._reference)

    def _listed(self, rows: NDArray[np.float32]) -> list[NDArray[np.int64]]:
        """Indices of the rows that belong to each list."""
        nearest = self._kmeans.assign(rows)[1]
        order = np.argsort(nearest, kind="stable")
        return np.split(order, np.searchsorted(nearest[order], np.arange(1, len(self._near))))

    def _ranks(self, query: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        """Rank of the list that holds each true neighbour, by nearness to the query's own list, ``(n_query, k)``."""
        truth = self._nearest(query, self._reference, k)[0]
        ranks = np.argsort(self._near, axis=1)  # (n_lists, n_lists)
        own, theirs = (self._kmeans.assign(rows)[1] for rows in (query, self._reference[truth.ravel()]))
        return ranks[own[:, None], theirs.reshape(truth.shape)]

    def __call__(self, query: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find the nearest rows of each query.

        Parameters
        ----------
        query
            Queries, ``(n_query, n_dims)``.
        k
            Number of rows per query; all rows if there are fewer.

        Returns
        -------
        indices : numpy.ndarray
            Indices of the rows, nearest first, ``(n_query, min(k, n_reference))``.
        scores : numpy.ndarray
            Inner products, or squared distances, of each query and these rows, of the same shape.
        """
        query, k = np.ascontiguousarray(query, np.float32), min(k, self.n_reference)
        if not self.n_probed:
            return self._nearest(query, self._reference, k)
        indices, scores = np.empty((len(query), k), np.int64), np.empty((len(query), k), np.float32)
        for queries, near in zip(self._listed(query), self._near, strict=True):
            if not len(queries):
                continue
            rows = np.concatenate([self._lists[i] for i in near[: self.n_probed]])
            if len(rows) < k:
                rows = np.arange(self.n_reference)
            found, scores[queries] = self._nearest(query[queries], self._reference[rows], k)
            indices[queries] = rows[found]
        return indices, scores

    def others(self, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find the nearest other rows of each row of the reference.

        If duplicates hide the row itself, the farthest of the rows found is left out in its place.

        Parameters
        ----------
        k
            Number of neighbours per row; all other rows if there are fewer.

        Returns
        -------
        indices : numpy.ndarray
            Indices of the neighbours, nearest first, ``(n_reference, min(k, n_reference - 1))``.
        scores : numpy.ndarray
            Inner products, or squared distances, of each row and its neighbours, of the same shape.
        """
        indices, scores = self(self._reference, k + 1)
        is_self = indices == np.arange(self.n_reference)[:, None]
        order = np.argsort(is_self, axis=1, kind="stable")[:, :-1]  # move the row itself to the end and drop it
        return np.take_along_axis(indices, order, axis=1), np.take_along_axis(scores, order, axis=1)

    def recall(self, query: NDArray[np.float32], k: int, n_sampled: int = N_SAMPLED) -> float:
        """Share of the `k` true neighbours that the search finds, for `n_sampled` of the queries."""
        if not self.n_probed:
            return 1.0
        return float((self._ranks(_spread(query, n_sampled), k) < self.n_probed).mean())

    def _nearest(
        self, query: NDArray[np.float32], rows: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Indices and scores of each query's nearest rows among all rows, each ``(n_query, min(k, n_rows))``."""
        import faiss

        faiss.cvar.distance_compute_blas_threshold = 1  # faiss would handle small tables in a slow loop
        metric = faiss.METRIC_L2 if self._euclidean else faiss.METRIC_INNER_PRODUCT
        scores, indices = faiss.knn(query, rows, min(k, len(rows)), metric=metric)
        return indices, scores


def _spread(rows: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """Take `n` evenly spaced rows, or all rows if there are fewer."""
    return np.ascontiguousarray(rows[np.linspace(0, len(rows) - 1, min(n, len(rows))).astype(int)])


def log_recall(recall: float, n_cells: int) -> None:
    """Log the share of the neighbours that an approximate search finds.

    Parameters
    ----------
    recall
        Share of the true neighbours that are found.
    n_cells
        Number of cells that are searched.
    """
    logger.info(
        "The search for neighbours among %d cells is approximate: %.1f %% of the true neighbours are found.",
        n_cells,
        100 * recall,
    )


def euclidean_search(points: NDArray[np.floating]) -> Search:
    """Search by Euclidean distance among these points, exact up to 50,000 of them."""
    return Search(points, exact=len(points) <= EXACT_UP_TO, euclidean=True)


def nearest_others(points: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the nearest other points of each point by Euclidean distance.

    The search is exact up to 50,000 points. Beyond that, :class:`Search` uses lists, and its recall on a sample is
    logged.

    Parameters
    ----------
    points
        Points to search, ``(n_points, n_dims)``.
    k
        Number of neighbours per point; all other points if there are fewer.

    Returns
    -------
    indices : numpy.ndarray
        Indices of the neighbours, nearest first, ``(n_points, min(k, n_points - 1))``.
    squared : numpy.ndarray
        Squared distances of each point and its neighbours, of the same shape.
    """
    search = euclidean_search(points)
    if search.n_probed:
        log_recall(search.recall(points, k), len(points))
    return search.others(k)
