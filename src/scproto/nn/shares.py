"""How many of a batch's cells each prototype is to get."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ._chunk import CHUNK


def prototype_shares(
    unit: Tensor, batch: Tensor, prototypes: Tensor, n_batches: int, *, temperature: float = 0.05
) -> Tensor:
    """Share of each batch's cells that each prototype is to get in the assignment.

    The mean of three: what the batch's own cells do, so that a batch without a population need not fill its
    prototypes with other cells; what the cells of all batches do, so that no batch keeps prototypes of its own; and
    equal shares, so that no prototype dies out.

    Parameters
    ----------
    unit
        Unit vectors of cells, ``(n_cells, n_latent)``.
    batch
        Batch of each cell, integers ``(n_cells,)``.
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``.
    n_batches
        Number of batches. One without a cell gets the mean of the others and equal shares.
    temperature
        Of the softmax that spreads a cell over the prototypes.

    Returns
    -------
    ``(n_batches, n_prototypes)``; every row sums to one.
    """
    mass = unit.new_zeros(n_batches, len(prototypes))
    for cells, batches in zip(unit.split(CHUNK), batch.split(CHUNK), strict=True):
        p = torch.softmax(cells @ prototypes.T / temperature, dim=1)
        mass += F.one_hot(batches, n_batches).to(p.dtype).T @ p
    size = mass.sum(1, keepdim=True)
    own = mass / size.clamp_min(torch.finfo(mass.dtype).tiny)
    pooled = own.sum(0) / (size > 0).sum()  # every batch weighs the same, as in the loss
    own = torch.where(size > 0, own, pooled)
    return (own + pooled + 1 / len(prototypes)) / 3
