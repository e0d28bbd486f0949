"""Swapped prediction between the views of a cell."""

from __future__ import annotations

import torch
from torch import Tensor


def swapped_prediction_loss(
    scores: Tensor, assignments: Tensor, batch: Tensor, n_batches: int, *, temperature: float = 0.1
) -> Tensor:
    """Cross-entropy between each view's prediction and the assignments of the other views.

    The mean is taken first within each batch and then over the batches present, so that every batch has the same
    weight, whatever its number of cells.

    Parameters
    ----------
    scores
        Cosine similarity of the cells of each view and the prototypes, ``(n_views, n_cells, n_prototypes)``.
    assignments
        Target assignment of each view, of the same shape; see :func:`batch_sinkhorn`.
    batch
        Batch of each cell, integers ``(n_views, n_cells)``. The partner of a cell may come from another batch; the
        prediction counts for the batch of the cell that predicts.
    n_batches
        Number of batches.
    temperature
        Temperature of the softmax over the prototypes.

    Returns
    -------
    loss : Tensor
        Scalar, the mean over the ordered pairs of views.

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
    # the mean over the other views; with two views, this is the other one
    target = assignments.flip(0) if n_views == 2 else (assignments.sum(0) - assignments) / (n_views - 1)
    per_cell = -(target * torch.log_softmax(scores / temperature, dim=2)).sum(2)  # (n_views, n_cells)
    return batch_mean(per_cell, batch, n_batches).mean()


def batch_mean(values: Tensor, batch: Tensor, n_batches: int) -> Tensor:
    """Average a value within each batch and then over the batches present.

    Parameters
    ----------
    values
        Value of each cell, ``(..., n_cells)``.
    batch
        Batch of each cell, integers of the same shape.
    n_batches
        Number of batches. Batches without cells are ignored.

    Returns
    -------
    mean : Tensor
        Mean over the batches of their means, ``(...)``.
    """
    batch = batch.long()
    size = values.new_zeros(*batch.shape[:-1], n_batches)
    size.scatter_add_(-1, batch, torch.ones_like(values))  # bincount would wait for the GPU
    weight = 1.0 / (size.gather(-1, batch) * (size > 0).sum(-1, keepdim=True))
    return (values * weight).sum(-1)
