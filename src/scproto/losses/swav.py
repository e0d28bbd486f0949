"""Swapped prediction between the views of a cell."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def swapped_prediction_loss(
    scores: Sequence[Tensor],
    assignments: Sequence[Tensor],
    batches: Sequence[Tensor],
    n_batches: int,
    *,
    temperature: float = 0.1,
) -> Tensor:
    """Cross-entropy of each view's prediction against the assignments of the other views.

    The mean is taken within each batch first and then over the batches present, so that every batch
    weighs the same whatever its number of cells.

    Parameters
    ----------
    scores
        For each view the cosine similarity of cells and prototypes, ``(n_cells, n_prototypes)``.
    assignments
        For each view the target assignment, ``(n_cells, n_prototypes)``; see :func:`batch_sinkhorn`.
    batches
        For each view the batch of its cells, ``(n_cells,)``: the partner of a cell may come from
        another batch. The prediction counts for the batch of the cell that predicts.
    n_batches
        Number of batches.
    temperature
        Of the softmax over the prototypes.

    Returns
    -------
    Scalar; the mean over the ordered pairs of views.

    Raises
    ------
    ValueError
        If there are fewer than two views.

    References
    ----------
    Caron et al., NeurIPS 2020 (SwAV); scProto, LMRL workshop at ICLR 2025 (the average over batches).
    """
    if len(scores) < 2:
        raise ValueError(f"Swapped prediction needs two or more views, got {len(scores)}.")
    total_assignment = torch.stack(list(assignments)).sum(0)
    losses = []
    for view_scores, own, batch in zip(scores, assignments, batches, strict=True):
        target = (total_assignment - own) / (len(scores) - 1)  # mean over the other views
        per_cell = -(target * torch.log_softmax(view_scores / temperature, dim=1)).sum(1)
        losses.append(batch_mean(per_cell, batch, n_batches))
    return torch.stack(losses).mean()


def batch_mean(per_cell: Tensor, batch: Tensor, n_batches: int) -> Tensor:
    """Mean over the batches present of the batches' means of a value ``(n_cells,)``."""
    batch = batch.long()
    size = per_cell.new_zeros(n_batches).index_add_(0, batch, torch.ones_like(per_cell))  # bincount waits for a GPU
    weight = 1.0 / (size[batch] * (size > 0).sum())
    return (per_cell * weight).sum()
