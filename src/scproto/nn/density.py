"""Density of the embedding around each cell, and weights that make sparse regions count more."""

from __future__ import annotations

import torch
from torch import Tensor

from .chunk import CHUNK
from .prototypes import nearest_prototype


def density_weights(unit: Tensor, prototypes: Tensor, *, temperature: float = 0.1, power: float = 0.5) -> Tensor:
    r"""Weigh cells so that the weight falls with the density of the embedding.

    If all cells weigh the same, the optimum spends one prototype per fixed number of cells, and a population with fewer
    cells gets none. The density is that of the prototypes, each with the mass of the cells nearest to it:
    :math:`\rho_i = \sum_k n_k \exp((\cos(i, k) - 1) / T)`. The weight is :math:`\rho_i^{-power}`.

    Parameters
    ----------
    unit
        Unit vectors of cells, ``(n_cells, n_latent)``.
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``.
    temperature
        Width :math:`T` of the kernel in cosine similarity.
    power
        Exponent of the density. With 0, all cells weigh the same; with 1, all regions do. The square root lies in
        between.

    Returns
    -------
    weights : Tensor
        Weights of the cells, with mean 1, ``(n_cells,)``.
    """
    nearest = nearest_prototype(unit, prototypes)[1]
    mass = torch.bincount(nearest, minlength=len(prototypes)).to(unit.dtype)
    density = unit.new_empty(len(unit))
    for cells, of_cells in zip(unit.split(CHUNK), density.split(CHUNK), strict=True):
        torch.mv((cells @ prototypes.T).sub_(1.0).div_(temperature).exp_(), mass, out=of_cells)
    weights = density**-power
    return weights / weights.mean()
