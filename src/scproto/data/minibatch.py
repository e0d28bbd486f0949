"""A minibatch: all views of some cells as sparse tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from .._compat import csr_tensor


@dataclass(frozen=True)
class Minibatch:
    """Views of some cells, anchors first.

    Attributes
    ----------
    x, x_transposed
        Input of the encoder, CSR ``(n_views * n_cells, n_genes)``, and the CSR of its transpose.
    batch
        Batch of each cell, ``(n_views, n_cells)``.
    rows, columns, counts
        Non-zero counts of the anchors in coordinate form, each ``(n_nonzero,)``.
    library
        Counts of each anchor over these genes, ``(n_cells,)``.
    """

    x: Tensor
    x_transposed: Tensor
    batch: Tensor
    rows: Tensor
    columns: Tensor
    counts: Tensor
    library: Tensor

    def to(self, device: torch.device | str, **kwargs: bool) -> Minibatch:
        """Copy of the minibatch on another device."""
        return Minibatch(**{f.name: getattr(self, f.name).to(device, **kwargs) for f in fields(self)})


def make_minibatch(counts: sp.csr_matrix, batch: NDArray[np.int64], views: NDArray[np.int64]) -> Minibatch:
    """Gather the cells of all views at once.

    Parameters
    ----------
    counts
        Counts of the model's genes, ``(n_all_cells, n_genes)``.
    batch
        Batch of each cell, ``(n_all_cells,)``.
    views
        Cells of each view, ``(n_views, n_cells)``; row 0 are the anchors.
    """
    n_cells = views.shape[1]
    gathered = counts[views.ravel()]
    anchors = gathered[:n_cells].tocoo()
    x, x_transposed = encoder_input(gathered)
    return Minibatch(
        x=x,
        x_transposed=x_transposed,
        batch=torch.from_numpy(batch[views]),
        rows=torch.from_numpy(anchors.row.astype(np.int64)),
        columns=torch.from_numpy(anchors.col.astype(np.int64)),
        counts=torch.from_numpy(anchors.data.astype(np.float32)),
        library=torch.from_numpy(_totals(gathered[:n_cells])),
    )


def encoder_input(counts: sp.csr_matrix) -> tuple[Tensor, Tensor]:
    """log1p CP10k of each cell, scaled to unit norm, and its transpose; both CSR tensors.

    A cell without a count in these genes stays a row of zeros.
    """
    degree = np.diff(counts.indptr)
    cp10k = counts.data.astype(np.float32) * np.repeat(1e4 / _totals(counts), degree)
    x = sp.csr_matrix((np.log1p(cp10k), counts.indices, counts.indptr), counts.shape)
    norm = np.sqrt(np.asarray(x.multiply(x).sum(1)).ravel())
    x.data /= np.repeat(np.where(norm > 0, norm, 1.0), degree).astype(np.float32)
    return _csr_tensor(x), _csr_tensor(x.T.tocsr())


def _totals(counts: sp.csr_matrix) -> NDArray[np.float32]:
    """Counts of each cell, at least one so that it can be divided by."""
    return np.maximum(np.asarray(counts.sum(1), np.float32).ravel(), 1.0)


def _csr_tensor(x: sp.csr_matrix) -> Tensor:
    return csr_tensor(torch.from_numpy(x.indptr), torch.from_numpy(x.indices), torch.from_numpy(x.data), x.shape)
