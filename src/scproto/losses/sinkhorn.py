"""Soft assignment of cells to prototypes, balanced within every batch."""

from __future__ import annotations

import torch
from torch import Tensor

FLOAT32_RANGE = 80.0
"""Logarithm of the ratio of two numbers that single precision holds well."""


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
    minibatch is balanced at once and no loop over batches is needed. The largest entry of a row is one before the
    first scaling, so nothing overflows; for an `epsilon` so small that similarities between -1 and 1 leave the range
    of single precision, the scaling is done in double precision.

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
        precise = scores if 2.0 / epsilon < FLOAT32_RANGE else scores.double()
        q = torch.softmax(precise / epsilon, dim=1)
        share = 1.0 if log_share is None else torch.softmax(log_share, dim=1).to(q.dtype)
        tiny = torch.finfo(q.dtype).tiny
        for _ in range(n_iterations):
            mass = _segment_sum(q, batch, n_batches)
            q *= (share / mass.clamp_min(tiny)).index_select(0, batch)  # (n_cells, n_prototypes)
            q /= q.sum(dim=1, keepdim=True)
        return q.to(scores.dtype)


def _segment_sum(q: Tensor, batch: Tensor, n_batches: int) -> Tensor:
    """Sum of the rows of each batch, ``(n_batches, n_prototypes)``."""
    if q.device.type == "cpu":
        return q.new_zeros(n_batches, q.shape[1]).index_add_(0, batch, q)
    member = batch == torch.arange(n_batches, device=batch.device).unsqueeze(1)  # (n_batches, n_cells)
    return member.to(q.dtype) @ q  # a GPU would add the rows in any order, and differ from run to run
