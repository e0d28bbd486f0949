"""Cells to prototypes: arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from ..nn.chunk import CHUNK

TEMPERATURE = 0.05
"""Of the softmax of the cosine similarities that gives the probabilities."""


@dataclass(frozen=True)
class Assignment:
    """Prototype and metacell of each cell.

    Attributes
    ----------
    nearest
        Index of the nearest prototype, ``(n_cells,)``.
    metacell
        The metacell of that prototype, ``(n_cells,)``.
    confidence
        Probability of the metacell, summed over its prototypes, ``(n_cells,)``.
    distance
        Cosine distance to the nearest prototype, ``(n_cells,)``.
    probability
        The most probable metacells of each cell, its own always among them, CSR ``(n_cells, n_metacells)``. The
        probabilities left out are why a row sums to less than one.
    """

    nearest: NDArray[np.int64]
    metacell: NDArray[np.int64]
    confidence: NDArray[np.float32]
    distance: NDArray[np.float32]
    probability: sp.csr_matrix

    @property
    def outlier(self) -> NDArray[np.bool_]:
        """Cells whose distance exceeds the median by more than five median absolute deviations."""
        median = np.median(self.distance)
        return self.distance > median + 5 * 1.4826 * np.median(np.abs(self.distance - median))


def assign(
    unit: NDArray[np.float32],
    prototypes: NDArray[np.float32],
    group: NDArray[np.int64] | None = None,
    *,
    temperature: float = TEMPERATURE,
    n_top: int = 5,
) -> Assignment:
    """Assign cells to prototypes on the hypersphere.

    Parameters
    ----------
    unit
        Unit vectors of cells, ``(n_cells, n_latent)``.
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``.
    group
        Metacell of each prototype, ``(n_prototypes,)``; by default each is one of its own.
    temperature
        Of the softmax of the cosine similarities that gives the probabilities.
    n_top
        Metacells a cell whose probability is kept.
    """
    centres = torch.from_numpy(prototypes)
    metacell_of = torch.arange(len(centres)) if group is None else torch.from_numpy(group)
    n_metacells = int(metacell_of.max()) + 1
    n_top = min(n_top, n_metacells)
    parts = []
    for cells in torch.from_numpy(unit).split(CHUNK):
        cosine, nearest = (scores := cells @ centres.T).max(dim=1)
        share = torch.softmax(scores / temperature, dim=1)
        if group is not None:
            share = share.new_zeros(len(cells), n_metacells).index_add_(1, metacell_of, share)
        values, indices = share.topk(n_top, dim=1)
        own = metacell_of[nearest]
        without = ~(indices == own.unsqueeze(1)).any(dim=1)  # where others are as probable, or a few together more so
        indices[without, -1], values[without, -1] = own[without], share[without, own[without]]
        parts.append((nearest, own, share.gather(1, own.unsqueeze(1)).squeeze(1), cosine, indices, values))
    nearest, metacell, confidence, cosine, which, top = (torch.cat(p).numpy() for p in zip(*parts, strict=True))
    indptr = np.arange(0, len(unit) * n_top + 1, n_top)
    probability = sp.csr_matrix((top.ravel(), which.ravel(), indptr), shape=(len(unit), n_metacells))
    probability.sort_indices()
    return Assignment(nearest, metacell, confidence, np.maximum(1.0 - cosine, 0.0), probability)


def log_probability(
    unit: torch.Tensor,
    prototypes: torch.Tensor,
    group: torch.Tensor,
    metacell: torch.Tensor,
    *,
    temperature: float = TEMPERATURE,
) -> torch.Tensor:
    """Log of the probability that :func:`assign` gives a cell for one metacell, with gradients, ``(n_cells,)``.

    Parameters
    ----------
    unit
        Unit vectors of cells, ``(n_cells, n_latent)``.
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``.
    group
        Metacell of each prototype, ``(n_prototypes,)``.
    metacell
        The metacell whose probability is asked for, for each cell, ``(n_cells,)``.
    temperature
        As in :func:`assign`.
    """
    scores = unit @ prototypes.T / temperature
    own = scores.masked_fill(group != metacell.unsqueeze(1), -torch.inf)
    return own.logsumexp(1) - scores.logsumexp(1)
