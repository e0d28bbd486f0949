"""Alignment of the batches on the hypersphere, anchored at the prototypes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .chunk import CHUNK
from .prototypes import nearest_prototype, spherical_kmeans

TEMPERATURE = 0.025
"""Of the softmax that spreads a cell over the prototypes."""

TOLERANCE = 0.01
"""A round that brings the cells nearer to their prototypes by less than this share is the last."""


@dataclass(frozen=True)
class Alignment:
    """Offset of each batch at each prototype, to be taken off the cells of that batch, round after round.

    Attributes
    ----------
    prototypes
        Unit vectors at which the offsets of each round hold, ``(n_rounds, n_prototypes, n_latent)``.
    offsets
        ``(n_rounds, n_batches, n_prototypes, n_latent)``.
    """

    prototypes: Tensor
    offsets: Tensor

    def to(self, device: torch.device | str) -> Alignment:
        """Copy on another device."""
        return Alignment(self.prototypes.to(device), self.offsets.to(device))

    def __call__(self, unit: Tensor, batch: Tensor) -> Tensor:
        """Aligned unit vectors of cells ``(n_cells, n_latent)`` of the batches ``(n_cells,)``."""
        for prototypes, offsets in zip(self.prototypes, self.offsets, strict=True):
            unit = _shift(unit, batch, prototypes, offsets)
        return unit


def fit_alignment(
    unit: Tensor,
    batch: Tensor,
    prototypes: Tensor,
    n_batches: int,
    *,
    n_rounds: int = 10,
    tolerance: float = TOLERANCE,
    n_iterations: int = 10,
) -> tuple[Alignment, Tensor, Tensor]:
    """Bring the batches together at each prototype, and the prototypes to the cells, in turn.

    Cells are spread over the prototypes by a softmax. The offset of a batch at a prototype is the
    difference of its weighted mean from the mean over batches, both weighted by the trust in that batch at
    that prototype (:func:`_trust`): a batch that hardly occurs there is hardly moved and hardly counts.
    Spherical k-means then moves the prototypes to the aligned cells.

    Where the batches differ by a shift that cells of one kind share, each round also brings the cells nearer to
    their prototypes. Once it hardly does, what is left between the batches is as wide as what is left within
    them, and further rounds would only push different cells together.

    Parameters
    ----------
    unit
        Unit vectors of cells, ``(n_cells, n_latent)``.
    batch
        Batch of each cell, integers ``(n_cells,)``.
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``.
    n_batches
        Number of batches; with one there is nothing to align and only the prototypes move.
    n_rounds
        Most times that both are done; with 0 nothing moves.
    tolerance
        A round that lowers the mean cosine distance of a cell to the nearest prototype, averaged over the batches,
        by less than this share is the last.
    n_iterations
        k-means iterations a round.

    Returns
    -------
    The alignment, to be applied to these or other cells of the same batches; the prototypes that belong
    to the aligned cells; the aligned cells.
    """
    anchors: list[Tensor] = []
    rounds: list[Tensor] = []
    spread = torch.inf
    while len(rounds) < n_rounds:
        offsets = _offsets(unit, batch, prototypes, n_batches)
        unit = _shift(unit, batch, prototypes, offsets)
        anchors.append(prototypes)
        rounds.append(offsets)
        centres = spherical_kmeans(unit.numpy(), len(prototypes), init=prototypes.numpy(), n_iterations=n_iterations)
        prototypes = torch.from_numpy(centres)
        before, spread = spread, _spread(unit, batch, prototypes, n_batches)
        if spread > (1.0 - tolerance) * before:
            break
    shape = prototypes.shape
    alignment = Alignment(
        torch.stack(anchors) if anchors else prototypes.new_empty(0, *shape),
        torch.stack(rounds) if rounds else prototypes.new_empty(0, n_batches, *shape),
    )
    return alignment, prototypes, unit


def _spread(unit: Tensor, batch: Tensor, prototypes: Tensor, n_batches: int) -> float:
    """Mean cosine distance of a cell to the nearest prototype, averaged over the batches that have cells."""
    distance = 1.0 - nearest_prototype(unit, prototypes)[0]
    size = torch.bincount(batch, minlength=n_batches)
    total = distance.new_zeros(n_batches).index_add(0, batch, distance)
    return float((total[size > 0] / size[size > 0]).mean())


def _offsets(unit: Tensor, batch: Tensor, prototypes: Tensor, n_batches: int) -> Tensor:
    """Shrunk offsets, ``(n_batches, n_prototypes, n_latent)``."""
    mass = unit.new_zeros(n_batches, len(prototypes))
    total = unit.new_zeros(n_batches, *prototypes.shape)
    for b in range(n_batches):
        for cells in unit[batch == b].split(CHUNK):
            p = torch.softmax(cells @ prototypes.T / TEMPERATURE, dim=1)
            mass[b] += p.sum(0)
            total[b] += p.T @ cells
    trust = _trust(mass).unsqueeze(2)  # (n_batches, n_prototypes, 1)
    tiny = torch.finfo(mass.dtype).tiny
    mean = total / mass.clamp_min(tiny).unsqueeze(2)
    centre = (trust * mean).sum(0) / trust.sum(0).clamp_min(tiny)
    return trust * (mean - centre)


def _trust(mass: Tensor) -> Tensor:
    """Trust in the mean of each batch at each prototype, in [0, 1), ``(n_batches, n_prototypes)``.

    It is one half where the batch has one cell and twice its average mass a prototype. Where a batch lacks a
    population, its mass there is the fringe of its other populations, which must not be pulled in; whether a
    mass is a fringe shows only beside what the batch has elsewhere.
    """
    return mass / (mass + 1.0 + 2.0 * mass.mean(dim=1, keepdim=True))


def _shift(unit: Tensor, batch: Tensor, prototypes: Tensor, offsets: Tensor) -> Tensor:
    """Take each cell's mixture of offsets off and return to the sphere."""
    moved = torch.empty_like(unit)
    for b in range(len(offsets)):
        for rows in torch.nonzero(batch == b).flatten().split(CHUNK):
            p = torch.softmax(unit[rows] @ prototypes.T / TEMPERATURE, dim=1)
            moved[rows] = F.normalize(unit[rows] - p @ offsets[b], dim=1)
    return moved
