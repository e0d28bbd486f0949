"""Cells to prototypes: arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

CHUNK = 16_384
"""Cells whose similarity to all prototypes is held at once."""


@dataclass(frozen=True)
class Assignment:
    """Prototype of each cell.

    Attributes
    ----------
    nearest
        Index of the nearest prototype, ``(n_cells,)``.
    confidence
        Its probability, ``(n_cells,)``.
    distance
        Cosine distance to it, ``(n_cells,)``.
    probability
        The most probable prototypes of each cell, CSR ``(n_cells, n_prototypes)``. The probabilities left
        out are why a row sums to less than one.
    """

    nearest: NDArray[np.int64]
    confidence: NDArray[np.float32]
    distance: NDArray[np.float32]
    probability: sp.csr_matrix

    @property
    def outlier(self) -> NDArray[np.bool_]:
        """Cells whose distance exceeds the median by more than five median absolute deviations."""
        median = np.median(self.distance)
        return self.distance > median + 5 * 1.4826 * np.median(np.abs(self.distance - median))


def assign(
    unit: NDArray[np.float32], prototypes: NDArray[np.float32], *, temperature: float = 0.05, n_top: int = 5
) -> Assignment:
    """Assign cells to prototypes on the hypersphere.

    Parameters
    ----------
    unit
        Unit vectors of cells, ``(n_cells, n_latent)``.
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``.
    temperature
        Of the softmax of the cosine similarities that gives the probabilities.
    n_top
        Prototypes a cell whose probability is kept.
    """
    n_top = min(n_top, len(prototypes))
    centres = torch.from_numpy(prototypes)
    parts = []
    for cells in torch.from_numpy(unit).split(CHUNK):
        scores = cells @ centres.T
        values, indices = torch.softmax(scores / temperature, dim=1).topk(n_top, dim=1)
        parts.append((indices, values, scores.gather(1, indices[:, :1]).squeeze(1)))
    which, top, cosine = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    nearest, confidence = which[:, 0].copy(), top[:, 0].copy()  # the sorting below reorders top itself
    indptr = np.arange(0, len(unit) * n_top + 1, n_top)
    probability = sp.csr_matrix((top.ravel(), which.ravel(), indptr), shape=(len(unit), len(prototypes)))
    probability.sort_indices()
    return Assignment(nearest, confidence, np.maximum(1.0 - cosine, 0.0), probability)
