"""Coverage: every population, the rare ones too, has a prototype near it."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def propagation_loss(scores: Tensor, *, worst: float = 0.0, trim: float = 0.0) -> Tensor:
    """Min-max distance of cells to their nearest prototype.

    The distance of a cell is one minus its largest cosine similarity to a prototype.

    Parameters
    ----------
    scores
        Cosine similarity of cells and prototypes, ``(n_cells, n_prototypes)``.
    worst
        Share of the cells, farthest first, over which the distance is averaged. 0 is the single worst
        cell, the min-max of the paper; 1 is the mean of all.
    trim
        Share of the cells, farthest first, left out before: a doublet must not take all the gradient.

    Returns
    -------
    Scalar in [0, 2].

    References
    ----------
    scProto, LMRL workshop at ICLR 2025.
    """
    distance = 1.0 - scores.max(dim=1).values
    n_cells = len(distance)
    n_trimmed = min(math.floor(trim * n_cells), n_cells - 1)
    n_worst = min(max(1, math.ceil(worst * n_cells)), n_cells - n_trimmed)
    return torch.topk(distance, n_trimmed + n_worst).values[n_trimmed:].mean()
