"""Agreement of the batches at each prototype."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def alignment_loss(unit: Tensor, scores: Tensor, batch: Tensor, n_batches: int, *, temperature: float = 0.05) -> Tensor:
    """Squared distance of each batch's mean at a prototype from the mean over the batches.

    Cells are spread over the prototypes by a softmax, which carries no gradient. A batch with little mass at a
    prototype hardly counts there: its mean is one of few cells, or of the fringe of another population.

    Parameters
    ----------
    unit
        Unit vectors of cells, ``(n_cells, n_latent)``.
    scores
        Cosine similarity of cells and prototypes, ``(n_cells, n_prototypes)``.
    batch
        Batch of each cell, ``(n_cells,)``.
    n_batches
        Number of batches.
    temperature
        Of the softmax over the prototypes.

    Returns
    -------
    Scalar, at least 0; the mean over the mass of all batches at all prototypes.
    """
    p = torch.softmax(scores.detach() / temperature, dim=1)
    member = F.one_hot(batch, n_batches).to(unit.dtype)  # (n_cells, n_batches)
    mass = member.T @ p  # (n_batches, n_prototypes)
    spread = (member.unsqueeze(2) * unit.unsqueeze(1)).flatten(1)  # (n_cells, n_batches * n_latent)
    total = (p.T @ spread).unflatten(1, (n_batches, -1)).transpose(0, 1)  # (n_batches, n_prototypes, n_latent)
    tiny = torch.finfo(mass.dtype).tiny
    mean = total / mass.clamp_min(tiny).unsqueeze(2)
    trust = (mass / (mass + 1.0)).unsqueeze(2)
    centre = (trust * mean).sum(0) / trust.sum(0).clamp_min(tiny)
    distance = (trust * (mean - centre)).square().sum(2)
    return (distance * mass).sum() / mass.sum()
