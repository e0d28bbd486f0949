"""Assign cells to prototypes and metacells: arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from ..nn.chunk import CHUNK

TEMPERATURE = 0.05
"""Temperature of the softmax that turns cosine similarities into probabilities."""


@dataclass(frozen=True)
class Assignment:
    """Prototype and metacell of each cell.

    Attributes
    ----------
    nearest
        Index of the nearest prototype, ``(n_cells,)``.
    metacell
        Metacell of that prototype, ``(n_cells,)``.
    confidence
        Probability of the metacell, summed over its prototypes, ``(n_cells,)``.
    distance
        Cosine distance to the nearest prototype, ``(n_cells,)``.
    probability
        Probabilities of the most probable metacells of each cell, CSR ``(n_cells, n_metacells)``. The metacell of the
        cell is always among them. A row sums to less than one if metacells are left out.
    """

    nearest: NDArray[np.int64]
    metacell: NDArray[np.int64]
    confidence: NDArray[np.float32]
    distance: NDArray[np.float32]
    probability: sp.csr_matrix

    @property
    def outlier(self) -> NDArray[np.bool_]:
        """Mask of the cells whose distance exceeds the median by more than five median absolute deviations."""
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
        Metacell of each prototype, ``(n_prototypes,)``; by default, each prototype is a metacell of its own.
    temperature
        Temperature of the softmax that turns cosine similarities into probabilities.
    n_top
        Maximum number of metacells per cell whose probability is kept.

    Returns
    -------
    assignment : Assignment
        Prototype, metacell and probabilities of each cell.
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
        without = ~(indices == own.unsqueeze(1)).any(dim=1)  # if others tie, or metacells with many prototypes win
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
    """Compute, with gradients, the log of the probability that :func:`assign` gives to one metacell per cell.

    Parameters
    ----------
    unit
        Unit vectors of cells, ``(n_cells, n_latent)``.
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``.
    group
        Metacell of each prototype, ``(n_prototypes,)``.
    metacell
        Metacell of interest for each cell, ``(n_cells,)``.
    temperature
        Temperature of the softmax, as in :func:`assign`.

    Returns
    -------
    log_probability : torch.Tensor
        Log of the probability, ``(n_cells,)``.
    """
    scores = unit @ prototypes.T / temperature
    own = scores.masked_fill(group != metacell.unsqueeze(1), -torch.inf)
    return own.logsumexp(1) - scores.logsumexp(1)
