"""Nearest neighbours within a batch, and mutual ones between batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from . import search
from .search import Search, log_recall


@dataclass(frozen=True)
class KnnGraph:
    """Neighbours of each cell, cell after cell, as the rows of a CSR matrix are stored.

    Attributes
    ----------
    indptr
        Where the neighbours of each cell begin and those of the last one end, ``(n_cells + 1,)``.
    indices
        The neighbours, ``(n_pairs,)``. A cell is no neighbour of itself.

    Raises
    ------
    ValueError
        If an index is out of range.
    """

    indptr: NDArray[np.integer]
    indices: NDArray[np.integer]

    def __post_init__(self) -> None:
        if self.indices.size and not 0 <= self.indices.min() <= self.indices.max() < len(self):
            raise ValueError(f"Neighbour indices must lie in [0, {len(self)}).")

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def degree(self) -> NDArray[np.integer]:
        """Number of neighbours of each cell, ``(n_cells,)``."""
        return np.diff(self.indptr)

    def draw(self, cells: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """One random neighbour of each given cell; the cell itself where it has none."""
        start, end = self.indptr[cells], self.indptr[cells + 1]
        drawn = start + (rng.random(len(cells)) * (end - start)).astype(np.int64)
        some = end > start
        neighbors = cells.copy()
        neighbors[some] = self.indices[np.minimum(drawn, end - 1)[some]]
        return neighbors

    def mutual(self) -> KnnGraph:
        """The pairs of cells of which each is a neighbour of the other.

        A rare population has fewer cells than a neighbourhood, so the lists of its cells are filled up with
        cells of other populations. Those have nearer neighbours of their own kind and do not return the choice.
        """
        graph = self.to_sparse()
        return KnnGraph.from_sparse(graph.multiply(graph.T))

    def among(self, cells: NDArray[np.int64], n_cells: int) -> KnnGraph:
        """The graph of some of `n_cells` cells, in ascending order, as one of all; the others have no neighbour."""
        degree = np.zeros(n_cells, np.int64)
        degree[cells] = self.degree
        return KnnGraph(np.append(0, np.cumsum(degree)), cells.astype(self.indices.dtype)[self.indices])

    def to_sparse(self) -> sp.csr_matrix:
        """0/1 matrix ``(n_cells, n_cells)``, as AnnData keeps it in ``obsp``."""
        ones = np.ones(len(self.indices), dtype=np.float32)
        return sp.csr_matrix((ones, self.indices, self.indptr), shape=(len(self), len(self)))

    @classmethod
    def from_sparse(cls, graph: sp.csr_matrix) -> KnnGraph:
        """Read the entries of each row of a square sparse matrix; the diagonal does not count."""
        graph = sp.csr_matrix(graph).sorted_indices()
        cells = np.repeat(np.arange(graph.shape[0], dtype=np.int32), np.diff(graph.indptr))
        others = graph.indices != cells
        degree = np.bincount(cells[others], minlength=graph.shape[0])
        return cls(np.append(0, np.cumsum(degree)), graph.indices[others])

    @classmethod
    def from_table(cls, table: NDArray[np.integer]) -> KnnGraph:
        """Read the neighbours of each cell from its row, ``(n_cells, n_neighbors)``; negative entries are none."""
        present = table >= 0
        return cls(np.append(0, np.cumsum(present.sum(1))), table[present])


def within_batch_neighbors(embedding: NDArray[np.floating], batch: NDArray[np.int64], n_neighbors: int) -> KnnGraph:
    """Nearest neighbours of each cell among the cells of its own batch, by cosine similarity.

    Of more than 50,000 cells they are searched approximately (:class:`scproto.graph.search.Search`), and the recall of
    that is logged.

    Parameters
    ----------
    embedding
        ``(n_cells, n_dims)``, for example a PCA of log1p CP10k.
    batch
        Batch of each cell, integers ``(n_cells,)``.
    n_neighbors
        Neighbours a cell; a batch with fewer cells gives fewer.
    """
    unit = _unit(embedding)
    indices = np.full((len(unit), n_neighbors), -1, dtype=np.int32)
    exact = len(unit) <= search.EXACT_UP_TO
    recalls = []
    for b in np.unique(batch):
        cells = np.flatnonzero(batch == b)
        own = unit[cells]
        of_batch = Search(own, exact=exact)
        found = of_batch.others(n_neighbors)[0]
        indices[cells, : found.shape[1]] = cells[found]
        recalls.append(of_batch.recall(own, n_neighbors))
    if not exact:
        log_recall(float(np.mean(recalls)), len(unit))
    return KnnGraph.from_table(indices)


def mutual_neighbors(
    embedding: NDArray[np.floating],
    batch: NDArray[np.int64],
    n_neighbors: int,
    *,
    n_partners: int = 8,
    rng: np.random.Generator | None = None,
) -> KnnGraph:
    """Mutual nearest neighbours between the batches, by cosine similarity.

    Two cells of different batches are mutual neighbours if each is among the ``n_neighbors`` nearest of
    the other in the other's batch. Among more than 50,000 cells they are searched approximately
    (:class:`scproto.graph.search.Search`), and the recall of that is logged.

    Parameters
    ----------
    embedding
        ``(n_cells, n_dims)``.
    batch
        Batch of each cell, integers ``(n_cells,)``.
    n_neighbors
        Size of the neighbourhoods that must agree.
    n_partners
        Other batches that each batch is compared with, drawn at random when there are more: the cost
        grows with the number of batches, not with its square.
    rng
        For that draw.

    References
    ----------
    Haghverdi et al., Nature Biotechnology 2018.
    """
    unit = _unit(embedding)
    cells = [np.flatnonzero(batch == b).astype(np.int32) for b in np.unique(batch)]  # there are many pairs
    exact = len(unit) <= search.EXACT_UP_TO
    searches = [Search(unit[of_batch], exact=exact) for of_batch in cells]
    rows, cols, recalls = [], [], []
    for a, b in _batch_pairs(len(cells), n_partners, rng or np.random.default_rng(0)):
        first, second = cells[a], cells[b]
        forth = _membership(searches[b](unit[first], n_neighbors)[0], len(second))
        back = _membership(searches[a](unit[second], n_neighbors)[0], len(first))
        i, j = forth.multiply(back.T).nonzero()
        rows.append(first[i])
        cols.append(second[j])
        recalls.append(searches[b].recall(unit[first], n_neighbors, n_sampled=20))
    del searches
    if not rows:
        return KnnGraph.from_table(np.empty((len(unit), 0), dtype=np.int32))
    if not exact:
        log_recall(float(np.mean(recalls)), len(unit))
    i, j = np.concatenate(rows), np.concatenate(cols)
    one_way = sp.csr_matrix((np.ones(len(i), bool), (i, j)), shape=(len(unit), len(unit)))
    return KnnGraph.from_sparse(one_way + one_way.T)


def _batch_pairs(n_batches: int, n_partners: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Pairs of batches to compare: all of them if few, else a random ring's nearest."""
    ring = rng.permutation(n_batches)
    reach = min(n_batches // 2, max(1, n_partners // 2)) if n_batches - 1 > n_partners else n_batches - 1
    pairs = {
        (min(a, b), max(a, b)) for step in range(1, reach + 1) for a, b in zip(ring, np.roll(ring, step), strict=True)
    }
    return sorted((int(a), int(b)) for a, b in pairs if a != b)


def _membership(found: NDArray[np.int64], n_columns: int) -> sp.csr_matrix:
    """Sparse 0/1 matrix of a table of neighbours."""
    n_rows, k = found.shape
    indptr = np.arange(0, n_rows * k + 1, k)
    return sp.csr_matrix((np.ones(found.size, np.int8), found.ravel(), indptr), shape=(n_rows, n_columns))


def _unit(x: NDArray[np.floating]) -> NDArray[np.float32]:
    from sklearn.preprocessing import normalize

    return normalize(np.asarray(x, np.float32))
