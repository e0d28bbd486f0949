"""Shares of each batch's cells that the prototypes should get."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .chunk import CHUNK


def prototype_shares(
    unit: Tensor, batch: Tensor, prototypes: Tensor, n_batches: int, *, temperature: float = 0.05, reach: float = 0.15
) -> Tensor:
    r"""Share of each batch's cells that each prototype should get in the assignment.

    How many cells a batch has in a region of the hypersphere is the batch's own, so a batch that lacks a population
    need not fill its prototypes with other cells. How these cells divide over the prototypes of the region is common to
    all batches. One half follows the cells of all batches, so that no batch keeps prototypes of its own; the other half
    is equal, so that no prototype dies out. Let :math:`o_b` be the shares of the batch's own cells, :math:`\bar o`
    their mean over the batches and :math:`S_{kl} = \exp((\cos(k, l) - 1) / R)` the nearness of two prototypes. The
    shares of batch :math:`b` are

    .. math:: \left(\bar o + \tfrac{1}{K}\right) \frac{S o_b}{S \bar o},

    scaled to sum to one.

    Parameters
    ----------
    unit
        Unit vectors of cells, ``(n_cells, n_latent)``.
    batch
        Batch of each cell, integers ``(n_cells,)``.
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``.
    n_batches
        Number of batches. A batch without cells gets the common shares.
    temperature
        Temperature of the softmax that spreads a cell over the prototypes.
    reach
        Width :math:`R` of a region in cosine similarity. A small width leaves each batch its own shares; a large one
        gives all batches the same shares.

    Returns
    -------
    shares : Tensor
        Shares of each batch, ``(n_batches, n_prototypes)``. Every row sums to one.
    """
    mass = unit.new_zeros(n_batches, len(prototypes))
    for cells, batches in zip(unit.split(CHUNK), batch.split(CHUNK), strict=True):
        p = torch.softmax(cells @ prototypes.T / temperature, dim=1)
        mass += F.one_hot(batches, n_batches).to(p.dtype).T @ p
    size = mass.sum(1, keepdim=True)
    own = mass / size.clamp_min(torch.finfo(mass.dtype).tiny)
    pooled = own.sum(0) / (size > 0).sum()  # every batch has the same weight, as in the loss
    own = torch.where(size > 0, own, pooled)
    near = ((prototypes @ prototypes.T - 1) / reach).exp()  # (n_prototypes, n_prototypes)
    share = (pooled + 1 / len(prototypes)) * (own @ near) / (pooled @ near)
    return share / share.sum(1, keepdim=True)
