"""Soft assignment of cells to prototypes, balanced within each batch."""

from __future__ import annotations

import torch
from torch import Tensor

FLOAT32_RANGE = 80.0
"""Logarithm of the largest ratio of two numbers that single precision represents well."""


def batch_sinkhorn(
    scores: Tensor,
    batch: Tensor,
    n_batches: int,
    *,
    epsilon: float = 0.05,
    n_iterations: int = 3,
    log_share: Tensor | None = None,
) -> Tensor:
    """Assign cells to prototypes by Sinkhorn within each batch, for all batches in one pass.

    The mass that a batch puts on a prototype is a segment sum over the cells of that batch, so no loop over the batches
    is needed to balance the minibatch. Scaling starts from a softmax, so nothing overflows. If `epsilon` is so small
    that similarities between -1 and 1 exceed the range of single precision, the scaling uses double precision.

    Parameters
    ----------
    scores
        Cosine similarity of cells and prototypes, ``(n_cells, n_prototypes)``.
    batch
        Batch of each cell, integers in ``[0, n_batches)``, ``(n_cells,)``.
    n_batches
        Number of batches. Batches without cells are ignored.
    epsilon
        Strength of the entropic regularisation; smaller values give harder assignments.
    n_iterations
        Number of column and row scalings; 0 gives a plain softmax.
    log_share
        Logarithm of the share of each batch's cells that each prototype should get, ``(n_batches, n_prototypes)``. By
        default, all prototypes get equal shares.

    Returns
    -------
    assignment : Tensor
        Assignment ``(n_cells, n_prototypes)``. Every row sums to one. It carries no gradient.

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
    """Sum the rows of each batch, ``(n_batches, n_prototypes)``."""
    if q.device.type == "cpu":
        return q.new_zeros(n_batches, q.shape[1]).index_add_(0, batch, q)
    member = batch == torch.arange(n_batches, device=batch.device).unsqueeze(1)  # (n_batches, n_cells)
    return member.to(q.dtype) @ q  # with index_add_, a GPU sums in any order, and runs would differ
