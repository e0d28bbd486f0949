"""Look at the embedding of all cells between epochs: set the prototypes, and guide the next minibatches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.sampler import Guidance, ViewSampler
from ..graph import KnnGraph, mutual_neighbors
from ..network import PrototypeModule
from ..nn import density_weights, nearest_prototype, prototype_shares, spherical_kmeans

REFRESH_EVERY = 4
"""Epochs between two looks at the whole embedding."""

MOST_EMPTY, N_SPREAD = 0.05, 3
"""Share of prototypes without cells above which they are spread again, and iterations of k-means that do so."""


@dataclass(frozen=True)
class Look:
    """Set prototypes and guidance from the embedding of all cells.

    Attributes
    ----------
    module
        The network, which stays unchanged.
    batch
        Batch of each cell, ``(n_cells,)``.
    sampler
        Sampler that draws the cells of the coming epochs.
    rng
        Random generator that chooses the batches to compare.
    n_mutual
        Size of the neighbourhoods in which cells of two batches must find each other to be mutual neighbours.
    seed
        Seed of k-means.
    """

    module: PrototypeModule
    batch: NDArray[np.int64]
    sampler: ViewSampler
    rng: np.random.Generator
    n_mutual: int
    seed: int

    def first(self, unit: Tensor) -> tuple[Tensor, Guidance]:
        """Start the prototypes.

        Parameters
        ----------
        unit
            Embedding of all cells, ``(n_cells, n_latent)``.

        Returns
        -------
        prototypes : Tensor
            Unit vectors, ``(n_prototypes, n_latent)``. They are set after the batches are aligned, so that the batches
            share them from the start.
        guidance : Guidance
            Guidance for the next epochs.
        """
        at = first_prototypes(unit, len(self.module.prototypes), self.seed)
        _, prototypes, aligned = self.module.align(unit, torch.from_numpy(self.batch), at)
        return prototypes, self._guidance(unit, prototypes, aligned)

    def again(self, unit: Tensor) -> tuple[Tensor, Guidance]:
        """Spread prototypes that have collapsed over the cells again, and update the guidance.

        Parameters
        ----------
        unit
            Embedding of all cells, ``(n_cells, n_latent)``.

        Returns
        -------
        prototypes : Tensor
            Unit vectors, ``(n_prototypes, n_latent)``.
        guidance : Guidance
            Guidance for the next epochs.
        """
        prototypes = spread_again(unit, self.module.unit_prototypes.detach().cpu(), self.seed)
        return prototypes, self._guidance(unit, prototypes)

    def _guidance(self, unit: Tensor, prototypes: Tensor, aligned: Tensor | None = None) -> Guidance:
        """Derive shares and pairs from the aligned cells; without them, only the cells that are drawn are aligned."""
        batch, n_batches = torch.from_numpy(self.batch), self.module.n_batches
        shares = prototype_shares(unit if aligned is None else aligned, batch, prototypes, n_batches).numpy()
        weights = density_weights(unit, prototypes).numpy()
        if n_batches == 1:
            return Guidance(weights, paired=True, shares=shares)
        anchors = tuple(self.sampler.draw(weights) for _ in range(REFRESH_EVERY))
        drawn = np.unique(anchors)
        chosen = self.module.align(unit[drawn], batch[drawn], prototypes)[2] if aligned is None else aligned[drawn]
        cross = self._pairs_across(chosen.numpy(), drawn)
        return Guidance(weights, paired=True, anchors=anchors, cross=cross, shares=shares)

    def _pairs_across(self, aligned: NDArray[np.float32], drawn: NDArray[np.int64]) -> KnnGraph:
        """Find mutual neighbours across batches among the cells that are drawn until the next look."""
        pairs = mutual_neighbors(aligned, self.batch[drawn], self.n_mutual, rng=self.rng)
        return pairs.among(drawn, len(self.batch))


def first_prototypes(unit: Tensor, n_prototypes: int, seed: int) -> Tensor:
    """Run k-means twice; the second run weights each cell by the density that the first one finds.

    Parameters
    ----------
    unit
        Unit vectors of cells, ``(n_cells, n_latent)``.
    n_prototypes
        Number of prototypes.
    seed
        Seed of k-means.

    Returns
    -------
    prototypes : Tensor
        Unit vectors, ``(n_prototypes, n_latent)``.
    """
    evenly = torch.from_numpy(spherical_kmeans(unit.numpy(), n_prototypes, seed=seed))
    weights = density_weights(unit, evenly).numpy()
    return torch.from_numpy(spherical_kmeans(unit.numpy(), n_prototypes, weights=weights, seed=seed))


def spread_again(unit: Tensor, prototypes: Tensor, seed: int) -> Tensor:
    """Spread prototypes that have collapsed over the cells.

    Prototypes that lie close together get nearly the same gradient, so that many prototypes in a small region end on
    few points. If more than one in twenty is nearest to no cell, a few iterations of weighted k-means spread all of
    them from where they are. One without cells then moves into a large cluster.

    Parameters
    ----------
    unit
        Unit vectors of cells, ``(n_cells, n_latent)``.
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``.
    seed
        Seed of k-means.

    Returns
    -------
    prototypes : Tensor
        Unit vectors, ``(n_prototypes, n_latent)``.
    """
    used = len(nearest_prototype(unit, prototypes)[1].unique())
    if used >= (1 - MOST_EMPTY) * len(prototypes):
        return prototypes
    weights = density_weights(unit, prototypes).numpy()
    start = prototypes.numpy()
    found = spherical_kmeans(unit.numpy(), len(start), weights=weights, init=start, n_iterations=N_SPREAD, seed=seed)
    return torch.from_numpy(found)
