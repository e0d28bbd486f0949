"""Swapped prediction between the views of a cell."""

from __future__ import annotations

import torch
from torch import Tensor


def swapped_prediction_loss(
    scores: Tensor, assignments: Tensor, batch: Tensor, n_batches: int, *, temperature: float = 0.1
) -> Tensor:
    """Cross-entropy of each view's prediction against the assignments of the other views.

    The mean is taken within each batch first and then over the batches present, so that every batch
    weighs the same whatever its number of cells.

    Parameters
    ----------
    scores
        Cosine similarity of the cells of each view and the prototypes, ``(n_views, n_cells, n_prototypes)``.
    assignments
        Target assignment of each view, of the same shape; see :func:`batch_sinkhorn`.
    batch
        Batch of each cell, integers ``(n_views, n_cells)``: the partner of a cell may come from another batch. The
        prediction counts for the batch of the cell that predicts.
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
    n_views = len(scores)
    if n_views < 2:
        raise ValueError(f"Swapped prediction needs two or more views, got {n_views}.")
    # the mean over the other views; of two, the other one
    target = assignments.flip(0) if n_views == 2 else (assignments.sum(0) - assignments) / (n_views - 1)
    per_cell = -(target * torch.log_softmax(scores / temperature, dim=2)).sum(2)  # (n_views, n_cells)
    return batch_mean(per_cell, batch, n_batches).mean()


def batch_mean(values: Tensor, batch: Tensor, n_batches: int) -> Tensor:
    """Mean over the batches present of the batches' means of a value, ``(..., n_cells)`` to ``(...)``."""
    batch = batch.long()
    size = values.new_zeros(*batch.shape[:-1], n_batches)
    size.scatter_add_(-1, batch, torch.ones_like(values))  # bincount waits for a GPU
    weight = 1.0 / (size.gather(-1, batch) * (size > 0).sum(-1, keepdim=True))
    return (values * weight).sum(-1)
