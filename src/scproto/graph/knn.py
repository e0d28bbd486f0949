"""Nearest neighbours within each batch, and mutual nearest neighbours between batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from . import search
from .search import Search, log_recall


@dataclass(frozen=True)
class KnnGraph:
    """Neighbours of each cell, stored like the rows of a CSR matrix.

    Attributes
    ----------
    indptr
        Start of each cell's neighbours in `indices`, and the end of the last cell's, ``(n_cells + 1,)``.
    indices
        Neighbours of all cells, ``(n_pairs,)``. A cell is not its own neighbour.

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
        """Draw one random neighbour of each given cell, or the cell itself if it has none."""
        start, end = self.indptr[cells], self.indptr[cells + 1]
        drawn = start + (rng.random(len(cells)) * (end - start)).astype(np.int64)
        some = end > start
        neighbors = cells.copy()
        neighbors[some] = self.indices[np.minimum(drawn, end - 1)[some]]
        return neighbors

    def mutual(self) -> KnnGraph:
        """Keep the pairs of cells in which each cell is a neighbour of the other.

        A rare population has fewer cells than a neighbourhood, so the neighbours of its cells include cells of other
        populations. The latter have nearer neighbours of their own kind and do not choose the rare cells in return.
        """
        graph = self.to_sparse()
        return KnnGraph.from_sparse(graph.multiply(graph.T))

    def among(self, cells: NDArray[np.int64], n_cells: int) -> KnnGraph:
        """Extend the graph of the given cells, in ascending order, to `n_cells` cells; the others get no neighbours."""
        degree = np.zeros(n_cells, np.int64)
        degree[cells] = self.degree
        return KnnGraph(np.append(0, np.cumsum(degree)), cells.astype(self.indices.dtype)[self.indices])

    def to_sparse(self) -> sp.csr_matrix:
        """Convert to a 0/1 matrix ``(n_cells, n_cells)``, as AnnData stores it in ``obsp``."""
        ones = np.ones(len(self.indices), dtype=np.float32)
        return sp.csr_matrix((ones, self.indices, self.indptr), shape=(len(self), len(self)))

    @classmethod
    def from_sparse(cls, graph: sp.csr_matrix) -> KnnGraph:
        """Read the neighbours of each cell from its row of a square sparse matrix; the diagonal is ignored."""
        graph = sp.csr_matrix(graph).sorted_indices()
        cells = np.repeat(np.arange(graph.shape[0], dtype=np.int32), np.diff(graph.indptr))
        others = graph.indices != cells
        degree = np.bincount(cells[others], minlength=graph.shape[0])
        return cls(np.append(0, np.cumsum(degree)), graph.indices[others])

    @classmethod
    def from_table(cls, table: NDArray[np.integer]) -> KnnGraph:
        """Read the neighbours of each cell from its row, ``(n_cells, n_neighbors)``; negative entries are ignored."""
        present = table >= 0
        return cls(np.append(0, np.cumsum(present.sum(1))), table[present])


def within_batch_neighbors(embedding: NDArray[np.floating], batch: NDArray[np.int64], n_neighbors: int) -> KnnGraph:
    """Find the nearest neighbours of each cell among the cells of its own batch, by cosine similarity.

    With more than 50,000 cells, the search is approximate (:class:`scproto.graph.search.Search`) and its recall is
    logged.

    Parameters
    ----------
    embedding
        Embedding of the cells, ``(n_cells, n_dims)``, for example a PCA of log1p CP10k.
    batch
        Batch of each cell, integers ``(n_cells,)``.
    n_neighbors
        Number of neighbours per cell; cells of smaller batches have fewer.

    Returns
    -------
    graph : KnnGraph
        Neighbours of each cell.
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
    """Find mutual nearest neighbours between the batches, by cosine similarity.

    Two cells of different batches are mutual neighbours if each is among the `n_neighbors` cells of its own batch that
    are nearest to the other cell. With more than 50,000 cells, the search is approximate
    (:class:`scproto.graph.search.Search`) and its recall is logged.

    Parameters
    ----------
    embedding
        Embedding of the cells, ``(n_cells, n_dims)``.
    batch
        Batch of each cell, integers ``(n_cells,)``.
    n_neighbors
        Size of the neighbourhoods in which the cells must find each other.
    n_partners
        Number of other batches that each batch is compared with. If there are more, they are drawn at random, so that
        the cost grows with the number of batches and not with its square.
    rng
        Random generator that draws these batches.

    Returns
    -------
    graph : KnnGraph
        Mutual neighbours of each cell.

    References
    ----------
    Haghverdi et al., Nature Biotechnology 2018.
    """
    unit = _unit(embedding)
    cells = [np.flatnonzero(batch == b).astype(np.int32) for b in np.unique(batch)]  # int32, as there are many pairs
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
    """Pairs of batches to compare: all pairs if there are few batches, else the nearest in a random ring."""
    ring = rng.permutation(n_batches)
    reach = min(n_batches // 2, max(1, n_partners // 2)) if n_batches - 1 > n_partners else n_batches - 1
    pairs = {
        (min(a, b), max(a, b)) for step in range(1, reach + 1) for a, b in zip(ring, np.roll(ring, step), strict=True)
    }
    return sorted((int(a), int(b)) for a, b in pairs if a != b)


def _membership(found: NDArray[np.int64], n_columns: int) -> sp.csr_matrix:
    """Convert a table of neighbours to a sparse 0/1 matrix."""
    n_rows, k = found.shape
    indptr = np.arange(0, n_rows * k + 1, k)
    return sp.csr_matrix((np.ones(found.size, np.int8), found.ravel(), indptr), shape=(n_rows, n_columns))


def _unit(x: NDArray[np.floating]) -> NDArray[np.float32]:
    from sklearn.preprocessing import normalize

    return normalize(np.asarray(x, np.float32))
