"""A minibatch: all views of some cells as tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import normalize
from torch import Tensor

from .._compat import csr_tensor
from ..pp._normalise import log1p_cp10k

DENSE_ABOVE = 0.1
"""Share of non-zero entries above which a dense product is faster than a sparse one."""


@dataclass(frozen=True)
class Minibatch:
    """Views of some cells, anchors first.

    Attributes
    ----------
    x
        Input of the encoder, ``(n_views * n_cells, n_genes)``; CSR, or dense where there are few zeros.
    x_transposed
        CSR of its transpose; None if dense.
    batch
        Batch of each cell, ``(n_views, n_cells)``.
    genes
        Genes to decode, ``(n_decoded,)``.
    rows, columns
        Where the non-zero counts of the anchors in these genes are, each ``(n_nonzero,)``; columns count along `genes`.
        None if the counts are dense.
    counts
        The non-zero counts, ``(n_nonzero,)``; or all of them, ``(n_cells, n_decoded)``.
    library
        Counts of each anchor over all genes, ``(n_cells,)``.
    """

    x: Tensor
    x_transposed: Tensor | None
    batch: Tensor
    genes: Tensor
    rows: Tensor | None
    columns: Tensor | None
    counts: Tensor
    library: Tensor

    def to(self, device: torch.device | str, **kwargs: bool) -> Minibatch:
        """Copy of the minibatch on another device."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: part.to(device, **kwargs) for k, part in parts.items() if part is not None})


def normalise(counts: sp.csr_matrix) -> tuple[sp.csr_matrix, NDArray[np.float32]]:
    """log1p CP10k of each cell, scaled to unit norm, and the counts of each cell, at least one.

    A cell without a count in these genes stays a row of zeros. The result shares its structure with the counts.
    """
    x, library = log1p_cp10k(counts)
    normalize(x, copy=False)
    return x, library


def encoder_input(x: sp.csr_matrix) -> tuple[Tensor, Tensor | None]:
    """Tensor of sparse rows, and of their transpose; dense, and no transpose, where there are few zeros."""
    if x.nnz > DENSE_ABOVE * x.shape[0] * x.shape[1]:
        return torch.from_numpy(x.toarray()), None
    return _csr_tensor(x), _csr_tensor(x.T.tocsr())


def counts_of_genes(
    counts: sp.csr_matrix, genes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Rows, columns and values of the stored counts of some genes; columns count along `genes`."""
    place = np.full(counts.shape[1], -1)
    place[genes] = np.arange(len(genes))
    columns = place[counts.indices]
    kept = np.flatnonzero(columns >= 0)
    degree = np.diff(np.searchsorted(kept, counts.indptr))  # stored counts of each cell that are kept
    rows = np.repeat(np.arange(counts.shape[0]), degree)
    return rows, columns[kept], counts.data[kept].astype(np.float32, copy=False)


def _csr_tensor(x: sp.csr_matrix) -> Tensor:
    return csr_tensor(torch.from_numpy(x.indptr), torch.from_numpy(x.indices), torch.from_numpy(x.data), x.shape)
