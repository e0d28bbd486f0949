"""Where each cell lies: computed once, and shared by all outputs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from ..metacells import Assignment, Level, assign, cut
from ..nn import density_weights, nearest_prototype, spherical_kmeans


@dataclass(frozen=True)
class Placement:
    """Integrated embedding of cells, and their metacells at any level.

    Attributes
    ----------
    embedding
        Coordinates of the cells, whose distances are those of decoded log expression, ``(n_cells, n_axes)``.
    centres
        Coordinates of the prototypes in the same space, ``(n_prototypes, n_axes)``.
    unit
        Unit vectors of the cells after the batches are aligned, ``(n_cells, n_latent)``.
    prototypes
        Unit vectors of the prototypes, ``(n_prototypes, n_latent)``.
    """

    embedding: NDArray[np.float32]
    centres: NDArray[np.float32]
    unit: NDArray[np.float32]
    prototypes: NDArray[np.float32]
    _assignments: dict[int, Assignment] = field(default_factory=dict, repr=False)

    def level(self, n: int | None = None) -> Level:
        """Level of the tree with `n` metacells; by default each prototype is a metacell.

        Raises
        ------
        InputError
            If the tree has no such level.
        """
        return cut(self.prototypes, n)

    def assign(self, level: Level) -> Assignment:
        """Assign the cells to metacells at a level of the tree; the result of each level is kept."""
        n = len(level.names)
        if n not in self._assignments:
            self._assignments[n] = assign(self.unit, self.prototypes, level.group)
        return self._assignments[n]

    def restart(self, n: int | None, seed: int) -> NDArray[np.int64]:
        """Metacell of each cell if the last k-means had started with another seed.

        Parameters
        ----------
        n
            Number of metacells, as in :meth:`level`.
        seed
            Seed of k-means.

        Returns
        -------
        metacell : numpy.ndarray
            Index of the metacell of each cell, ``(n_cells,)``. The numbers have nothing to do with those of the model.
        """
        centres = last_kmeans(self.unit, self.prototypes, seed)
        nearest = nearest_prototype(torch.from_numpy(self.unit), torch.from_numpy(centres))[1].numpy()
        return cut(centres, n).group[nearest]


def last_kmeans(unit: NDArray[np.float32], prototypes: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Move prototypes onto aligned cells: k-means from a random start, in which sparse regions count more.

    Parameters
    ----------
    unit
        Unit vectors of the cells, ``(n_cells, n_latent)``.
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``; they tell only how dense the cells lie.
    seed
        Seed of k-means.

    Returns
    -------
    prototypes : numpy.ndarray
        Unit vectors, ``(n_prototypes, n_latent)``.
    """
    weights = density_weights(torch.from_numpy(unit), torch.from_numpy(prototypes)).numpy()
    return spherical_kmeans(unit, len(prototypes), weights=weights, seed=seed)
