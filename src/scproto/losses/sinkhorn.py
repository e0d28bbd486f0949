"""Soft assignment of cells to prototypes, balanced within every batch."""

from __future__ import annotations

import torch
from torch import Tensor


def batch_sinkhorn(
    scores: Tensor,
    batch: Tensor,
    n_batches: int,
    *,
    epsilon: float = 0.05,
    n_iterations: int = 3,
    log_share: Tensor | None = None,
) -> Tensor:
    """Sinkhorn assignment computed within each batch, for all batches in one pass.

    The mass that a batch puts on a prototype is a segment sum over the cells of that batch, so the whole
    minibatch is balanced at once and no loop over batches is needed. All steps are in the log domain.

    Parameters
    ----------
    scores
        Cosine similarity of cells and prototypes, ``(n_cells, n_prototypes)``.
    batch
        Batch of each cell, integers in ``[0, n_batches)``, ``(n_cells,)``.
    n_batches
        Number of batches. Those without a cell are ignored.
    epsilon
        Entropic regularisation: smaller is harder.
    n_iterations
        Number of column and row scalings. 0 gives a plain softmax.
    log_share
        Logarithm of the share of each batch's cells that each prototype is to get, ``(n_batches, n_prototypes)``; by
        default all prototypes get the same.

    Returns
    -------
    Assignment ``(n_cells, n_prototypes)``; every row sums to one. It carries no gradient.

    References
    ----------
    Cuturi, NeurIPS 2013 (Sinkhorn distances); Caron et al., NeurIPS 2020 (SwAV).
    """
    with torch.no_grad():
        log_q = torch.log_softmax(scores / epsilon, dim=1)
        index = batch.long().unsqueeze(1).expand_as(log_q)  # (n_cells, n_prototypes)
        for _ in range(n_iterations):
            excess = _segment_logsumexp(log_q, index, n_batches)
            if log_share is not None:
                excess = excess - log_share
            log_q = log_q - excess.gather(0, index)
            log_q = torch.log_softmax(log_q, dim=1)
        return log_q.exp()


def _segment_logsumexp(x: Tensor, index: Tensor, n_segments: int) -> Tensor:
    """Log-sum-exp of the rows of each segment, ``(n_segments, n_columns)``."""
    top = x.new_full((n_segments, x.shape[1]), -torch.inf).scatter_reduce(0, index, x, "amax")
    top = top.clamp_min(torch.finfo(x.dtype).min)  # segments without a row
    total = torch.zeros_like(top).scatter_add(0, index, (x - top.gather(0, index)).exp())
    return top + total.log()
