"""Where each cell lies: made once, and shared by all that asks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..metacells import Assignment, Level, assign, cut


@dataclass(frozen=True)
class Placement:
    """Integrated embedding of cells, and their metacells at any level.

    Attributes
    ----------
    unit
        Unit vectors of the cells, the batches aligned, ``(n_cells, n_latent)``.
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``.
    """

    unit: NDArray[np.float32]
    prototypes: NDArray[np.float32]
    _assignments: dict[int, Assignment] = field(default_factory=dict, repr=False)

    def level(self, n: int | None = None) -> Level:
        """Level of the tree with `n` metacells; by default every prototype is one.

        Raises
        ------
        InputError
            If the tree has no such level.
        """
        return cut(self.prototypes, n)

    def assign(self, level: Level) -> Assignment:
        """Metacells of the cells at a level of the tree; each level is assigned once."""
        n = len(level.names)
        if n not in self._assignments:
            self._assignments[n] = assign(self.unit, self.prototypes, level.group)
        return self._assignments[n]
