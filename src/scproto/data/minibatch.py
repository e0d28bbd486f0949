"""A minibatch: all views of some cells, as tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from .._compat import csr_tensor
from ..counts.normalise import library_size, row_sums
from .sampler import Request
from .source import CellSource

DENSE_ABOVE = 0.1
"""Share of non-zero entries above which a dense product is faster than a sparse one."""


@dataclass(frozen=True)
class Minibatch:
    """All views of some cells, the anchors first.

    Attributes
    ----------
    x
        Input of the encoder, ``(n_views * n_cells, n_genes)``; CSR, or dense if few entries are zero.
    x_transposed
        Transpose of `x` as CSR; None if `x` is dense.
    batch
        Batch of each cell, ``(n_views, n_cells)``.
    genes
        Genes to decode, ``(n_decoded,)``.
    rows, columns
        Positions of the non-zero counts of the anchors, each ``(n_nonzero,)``. A column is a position in `genes`. None
        if the counts are dense.
    counts
        Non-zero counts of the anchors, ``(n_nonzero,)``; if dense, all of their counts, ``(n_cells, n_decoded)``.
    library
        Total count of each anchor over all genes, ``(n_cells,)``.
    """

    x: Tensor
    x_transposed: Tensor | None
    batch: Tensor
    genes: Tensor
    rows: Tensor | None
    columns: Tensor | None
    counts: Tensor
    library: Tensor


def gather(source: CellSource, request: Request) -> Minibatch:
    """Gather the cells of all views at once, into sparse tensors on the CPU."""
    views, genes = request
    counts, library = source.take(views.ravel()), source.library[views.ravel()]
    x, x_transposed = training_input(normalise(counts, library))
    n_cells = views.shape[1]  # the anchors come first
    rows, columns, decoded = counts_of_genes(counts, n_cells, genes)
    return Minibatch(
        x=x,
        x_transposed=x_transposed,
        batch=torch.from_numpy(source.batch[views]),
        genes=torch.from_numpy(genes),
        rows=torch.from_numpy(rows),
        columns=torch.from_numpy(columns),
        counts=torch.from_numpy(decoded),
        library=torch.from_numpy(library[:n_cells]),
    )


def normalise(counts: sp.csr_matrix, library: NDArray[np.float32] | None = None) -> sp.csr_matrix:
    """log1p CP10k of each cell, scaled to unit norm.

    A cell without a count in these genes stays a row of zeros. The result shares its index arrays with `counts`. Each
    minibatch is normalised as it is gathered: to keep the values of all cells would take four more bytes per count.

    Parameters
    ----------
    counts
        Counts of any numeric type, CSR ``(n_cells, n_genes)``.
    library
        Total count of each cell, at least one, ``(n_cells,)``; by default the total over these genes.

    Returns
    -------
    normalised : scipy.sparse.csr_matrix
        Values as float32, ``(n_cells, n_genes)``.
    """
    if library is None:
        library = library_size(counts)
    degree = np.diff(counts.indptr)
    values = counts.data.astype(np.float32)
    values *= np.repeat(1e4 / library, degree)
    torch.log1p_(torch.from_numpy(values))  # several times as fast as numpy's
    norm = np.sqrt(row_sums(values * values, counts.indptr))
    values /= np.repeat(np.maximum(norm, np.finfo(np.float32).tiny), degree)
    return sp.csr_matrix((values, counts.indices, counts.indptr), counts.shape)


def encoder_input(x: sp.csr_matrix) -> Tensor:
    """Convert sparse rows into a tensor: CSR, or dense if few entries are zero."""
    if x.nnz > DENSE_ABOVE * x.shape[0] * x.shape[1]:
        return torch.from_numpy(x.toarray())
    return _csr_tensor(x)


def training_input(x: sp.csr_matrix) -> tuple[Tensor, Tensor | None]:
    """Return :func:`encoder_input` and, if that is sparse, its transpose, from which the gradient is computed."""
    rows = encoder_input(x)
    return rows, None if rows.layout == torch.strided else _csr_tensor(x.T.tocsr())


def counts_of_genes(
    counts: sp.csr_matrix, n_cells: int, genes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Rows, columns and values of the stored counts of some genes in the first cells; columns index `genes`."""
    indptr = counts.indptr[: n_cells + 1]
    stored = slice(indptr[-1])
    place = np.full(counts.shape[1], -1)
    place[genes] = np.arange(len(genes))
    columns = place.take(counts.indices[stored])  # faster than indexing with []
    kept = np.flatnonzero(columns >= 0)
    degree = np.diff(np.searchsorted(kept, indptr))  # stored counts of each cell that are kept
    rows = np.repeat(np.arange(n_cells), degree)
    return rows, columns.take(kept), counts.data.take(kept).astype(np.float32)


def _csr_tensor(x: sp.csr_matrix) -> Tensor:
    return csr_tensor(torch.from_numpy(x.indptr), torch.from_numpy(x.indices), torch.from_numpy(x.data), x.shape)
