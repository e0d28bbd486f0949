"""How crowded the embedding is around each cell, and weights that let sparse regions count for more."""

from __future__ import annotations

import torch
from torch import Tensor

from .chunk import CHUNK
from .prototypes import nearest_prototype


def density_weights(unit: Tensor, prototypes: Tensor, *, temperature: float = 0.1, power: float = 0.5) -> Tensor:
    r"""Weights of cells that fall with the density of the embedding.

    With all cells alike, a prototype for every so many cells is the optimum, and a population of fewer cells has none.
    The density is that of the prototypes, each with the mass of the cells that are nearest to it:
    :math:`\rho_i = \sum_k n_k \exp((\cos(i, k) - 1) / T)`, and the weight is :math:`\rho_i^{-power}`.

    Parameters
    ----------
    unit
        Unit vectors of cells, ``(n_cells, n_latent)``.
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``.
    temperature
        Width of the kernel in cosine similarity.
    power
        0 weighs all cells alike, 1 all regions. The square root lies between.

    Returns
    -------
    Weights ``(n_cells,)`` with mean 1.
    """
    nearest = nearest_prototype(unit, prototypes)[1]
    mass = torch.bincount(nearest, minlength=len(prototypes)).to(unit.dtype)
    density = unit.new_empty(len(unit))
    for cells, of_cells in zip(unit.split(CHUNK), density.split(CHUNK), strict=True):
        torch.mv((cells @ prototypes.T).sub_(1.0).div_(temperature).exp_(), mass, out=of_cells)
    weights = density**-power
    return weights / weights.mean()
