"""Align the batches on the hypersphere, anchored at the prototypes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .chunk import CHUNK
from .prototypes import nearest_prototype, spherical_kmeans

TEMPERATURE = 0.025
"""Temperature of the softmax that spreads a cell over the prototypes."""

TOLERANCE = 0.01
"""The last round is the first that lowers the cells' distance to their prototypes by less than this share."""


@dataclass(frozen=True)
class Alignment:
    """Offset of each batch at each prototype, to be subtracted from the cells of that batch round by round.

    Attributes
    ----------
    prototypes
        Unit vectors at which the offsets of each round apply, ``(n_rounds, n_prototypes, n_latent)``.
    offsets
        Offsets of each round, ``(n_rounds, n_batches, n_prototypes, n_latent)``.
    """

    prototypes: Tensor
    offsets: Tensor

    def to(self, device: torch.device | str) -> Alignment:
        """Copy to another device."""
        return Alignment(self.prototypes.to(device), self.offsets.to(device))

    def __call__(self, unit: Tensor, batch: Tensor) -> Tensor:
        """Align cells.

        Parameters
        ----------
        unit
            Unit vectors of cells, ``(n_cells, n_latent)``.
        batch
            Batch of each cell, integers ``(n_cells,)``.

        Returns
        -------
        aligned : Tensor
            Unit vectors of the aligned cells, ``(n_cells, n_latent)``.
        """
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
    """Alternate between aligning the batches at each prototype and moving the prototypes to the aligned cells.

    A softmax spreads each cell over the prototypes. The offset of a batch at a prototype is the difference between its
    weighted mean and the mean over batches. Both are weighted by the trust in that batch at that prototype
    (:func:`trust_in_batches`), so a batch that hardly occurs there hardly moves and hardly counts. Spherical k-means
    then moves the prototypes to the aligned cells.

    While the batches differ by a shift that cells of one kind share, each round also brings the cells nearer to their
    prototypes. Once it hardly does, the batches differ no more than the cells within them, and further rounds would
    only push different cells together.

    Parameters
    ----------
    unit
        Unit vectors of cells, ``(n_cells, n_latent)``.
    batch
        Batch of each cell, integers ``(n_cells,)``.
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``.
    n_batches
        Number of batches. With a single batch there is nothing to align, and only the prototypes move.
    n_rounds
        Maximum number of rounds; with 0, nothing moves.
    tolerance
        Smallest share by which a round must lower the mean cosine distance of a cell to the nearest prototype, averaged
        over the batches. The first round that fails to do so is the last.
    n_iterations
        Number of k-means iterations per round.

    Returns
    -------
    alignment : Alignment
        Alignment to apply to these or other cells of the same batches.
    prototypes : Tensor
        Prototypes of the aligned cells, ``(n_prototypes, n_latent)``.
    aligned : Tensor
        Aligned cells, ``(n_cells, n_latent)``.
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


def align_query(
    unit: Tensor, batch: Tensor, prototypes: Tensor, centres: Tensor, n_batches: int, *, n_rounds: int = 3
) -> Alignment:
    """Align new batches with a reference whose prototypes stay where they are.

    The formula is that of :func:`fit_alignment`, but each offset is the difference between the mean of a new batch at a
    prototype and the mean of the reference there, weighted by the trust in the batch at that prototype.

    Parameters
    ----------
    unit
        Unit vectors of the new cells, ``(n_cells, n_latent)``.
    batch
        Batch of each cell, integers ``(n_cells,)``.
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``.
    centres
        Means of the aligned cells of the reference at the prototypes, ``(n_prototypes, n_latent)``; see
        :func:`soft_means`.
    n_batches
        Number of new batches.
    n_rounds
        Number of rounds.

    Returns
    -------
    alignment : Alignment
        Alignment of the new batches.
    """
    rounds = []
    for _ in range(n_rounds):
        offsets = torch.stack([_towards(unit[batch == b], prototypes, centres) for b in range(n_batches)])
        unit = _shift(unit, batch, prototypes, offsets)
        rounds.append(offsets)
    return Alignment(prototypes.expand(n_rounds, *prototypes.shape), torch.stack(rounds))


def soft_means(unit: Tensor, prototypes: Tensor) -> tuple[Tensor, Tensor]:
    """Spread cells over the prototypes by a softmax.

    Parameters
    ----------
    unit
        Unit vectors of cells, ``(n_cells, n_latent)``.
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``.

    Returns
    -------
    means : Tensor
        Mean of the cells at each prototype, ``(n_prototypes, n_latent)``.
    mass : Tensor
        Number of cells at each prototype, ``(n_prototypes,)``.
    """
    mass, total = unit.new_zeros(len(prototypes)), torch.zeros_like(prototypes)
    for cells in unit.split(CHUNK):
        p = torch.softmax(cells @ prototypes.T / TEMPERATURE, dim=1)
        mass += p.sum(0)
        total += p.T @ cells
    return total / mass.clamp_min(torch.finfo(mass.dtype).tiny).unsqueeze(1), mass


def _towards(unit: Tensor, prototypes: Tensor, centres: Tensor) -> Tensor:
    """Shrunk offsets of one batch from the reference, ``(n_prototypes, n_latent)``."""
    mean, mass = soft_means(unit, prototypes)
    return trust_in_batches(mass.unsqueeze(0)).T * (mean - centres)


def _spread(unit: Tensor, batch: Tensor, prototypes: Tensor, n_batches: int) -> float:
    """Mean cosine distance of a cell to the nearest prototype, averaged over the batches that have cells."""
    distance = 1.0 - nearest_prototype(unit, prototypes)[0]
    size = torch.bincount(batch, minlength=n_batches)
    total = distance.new_zeros(n_batches).index_add(0, batch, distance)
    return float((total[size > 0] / size[size > 0]).mean())


def _offsets(unit: Tensor, batch: Tensor, prototypes: Tensor, n_batches: int) -> Tensor:
    """Shrunk offsets, ``(n_batches, n_prototypes, n_latent)``."""
    found = [soft_means(unit[batch == b], prototypes) for b in range(n_batches)]
    mean, mass = (torch.stack(values) for values in zip(*found, strict=True))
    trust = trust_in_batches(mass).unsqueeze(2)  # (n_batches, n_prototypes, 1)
    tiny = torch.finfo(mass.dtype).tiny
    centre = (trust * mean).sum(0) / trust.sum(0).clamp_min(tiny)
    return trust * (mean - centre)


def trust_in_batches(mass: Tensor) -> Tensor:
    """Trust in the mean of each batch at each prototype, in [0, 1), ``(n_batches, n_prototypes)``.

    The trust is one half where the mass is one cell plus twice the average mass of the batch per prototype. Where a
    batch lacks a population, its mass is the fringe of its other populations, which must not be pulled in. Only a
    comparison with the mass of the batch elsewhere shows whether a mass is such a fringe.
    """
    return mass / (mass + 1.0 + 2.0 * mass.mean(dim=1, keepdim=True))


def _shift(unit: Tensor, batch: Tensor, prototypes: Tensor, offsets: Tensor) -> Tensor:
    """Subtract each cell's mixture of offsets and return to the sphere."""
    moved = torch.empty_like(unit)
    for b in range(len(offsets)):
        for rows in torch.nonzero(batch == b).flatten().split(CHUNK):
            p = torch.softmax(unit[rows] @ prototypes.T / TEMPERATURE, dim=1)
            moved[rows] = F.normalize(unit[rows] - p @ offsets[b], dim=1)
    return moved
