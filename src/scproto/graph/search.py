"""Nearest rows of a table by inner product."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

EXACT_UP_TO = 50_000
"""Cells up to which neighbours are searched exactly; the time of that grows with the square of the cells."""

LISTED_FROM = 1000
"""Rows from which an inverted file is faster than looking at all of them."""

N_LISTS = 2.0
"""Lists of the inverted file, in square roots of its rows."""

N_PROBED = (2, 4, 8, 16, 32, 64)
"""Lists of the inverted file that a query may look into; the first number that finds enough neighbours is taken."""

ENOUGH = 0.95
"""Share of the neighbours of a sample that is enough."""

TRAINED_BY = 64
"""Rows a list that its centre is found by; more take time and find no more neighbours."""

N_SAMPLED = 200
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
        Compare each query with all rows. Otherwise, from 1,000 rows on, rows are listed by the nearest of ``2 sqrt(n)``
        k-means centres, and a query is compared with those of the lists nearest to it: of 2, 4 or more, the fewest by
        which 95 % of the ten neighbours of a sample of the rows are found, 64 at most.

    References
    ----------
    Sivic and Zisserman, ICCV 2003 (inverted files); Douze et al., IEEE Trans. Big Data 2025 (faiss).
    """

    def __init__(self, reference: NDArray[np.float32], *, exact: bool) -> None:
        import faiss

        faiss.cvar.distance_compute_blas_threshold = 1  # small tables would go to a slow loop
        reference = np.ascontiguousarray(reference, np.float32)
        self.n_reference, n_dims = reference.shape
        self._exact = faiss.IndexFlatIP(n_dims)
        self._exact.add(reference)
        self._reference = reference
        self._lists: Any = None
        if not exact and self.n_reference >= LISTED_FROM:
            self._centres = faiss.IndexFlatIP(n_dims)  # the lists point to it: it must live as long
            n_lists = round(N_LISTS * self.n_reference**0.5)
            self._lists = faiss.IndexIVFFlat(self._centres, n_dims, n_lists, faiss.METRIC_INNER_PRODUCT)
            self._lists.cp.min_points_per_centroid, self._lists.cp.max_points_per_centroid = 1, TRAINED_BY
            self._lists.train(reference)
            self._lists.add(reference)
            self._choose_probed()

    def _choose_probed(self) -> None:
        """Let queries look into as few lists as find enough neighbours."""
        sample = _spread(self._reference, N_SAMPLED)
        truth = self._exact.search(sample, min(N_JUDGED, self.n_reference))[1]
        for n_probed in N_PROBED:
            self._lists.nprobe = n_probed
            if self._share_found(sample, truth) >= ENOUGH:
                return

    @property
    def n_probed(self) -> int:
        """Lists that a query looks into; none where it is compared with all rows."""
        return self._lists.nprobe if self._lists is not None else 0

    def __call__(self, query: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows and inner products for each query, nearest first, each ``(n_query, min(k, n_reference))``."""
        query, k = np.ascontiguousarray(query, np.float32), min(k, self.n_reference)
        if self._lists is None:
            return self._exact.search(query, k)[::-1]
        products, indices = self._lists.search(query, k)
        short = (indices < 0).any(axis=1)  # fewer than k rows in the lists that were looked into
        if short.any():
            products[short], indices[short] = self._exact.search(query[short], k)
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
        if self._lists is None:
            return 1.0
        sample = _spread(query, n_sampled)
        return self._share_found(sample, self._exact.search(sample, min(k, self.n_reference))[1])

    def _share_found(self, query: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
        """Share of the true neighbours of each query, ``(n_query, k)``, that are found."""
        own = np.arange(len(query))[:, None] * self.n_reference  # so that a query is held to its own neighbours
        return float(np.isin(truth + own, self(query, truth.shape[1])[0] + own).mean())


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
