"""An embedding whose distances are those of log expression, and whose axes have genes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from ..nn.alignment import TEMPERATURE, trust_in_batches
from .assignment import assign

EXPLAINED = 0.9
"""Share of the variance of decoded log expression that the axes hold together."""

FEWEST_AXES, MOST_AXES = 8, 40
"""Limits on the number of axes."""

N_FITTED = 3_000
"""Maximum number of cells from which the axes are found."""

N_TOP = 10
"""Number of prototypes over which a cell is spread."""

N_ROUNDS = 3
"""Rounds in which the offsets of the batches are estimated."""

Expression = NDArray[np.float32]
Decode = Callable[[NDArray[np.float32]], Expression]
"""Function from unit vectors ``(n_points, n_latent)`` to log expression ``(n_points, n_genes)``."""


@dataclass(frozen=True)
class Axes:
    """Axes of decoded log expression, and what the batches still differ by along them.

    Attributes
    ----------
    loadings
        Orthonormal weights of the genes, ``(n_genes, n_axes)``. The first axis explains most of the variance.
    origin
        Coordinates of the mean cell before it is moved to zero, ``(n_axes,)``.
    offsets
        Offset of each batch at each prototype, to be subtracted, ``(n_batches, n_prototypes, n_axes)``.
    means
        Mean of the aligned cells at each prototype, from which new batches are told to differ,
        ``(n_prototypes, n_axes)``; empty if they are not known.
    """

    loadings: NDArray[np.float32]
    origin: NDArray[np.float32]
    offsets: NDArray[np.float32]
    means: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))

    @property
    def n_axes(self) -> int:
        """Number of axes; 0 if none were fitted."""
        return len(self.origin)

    def project(self, decode: Decode, unit: NDArray[np.float32], chunk: int = 512) -> NDArray[np.float32]:
        """Decode cells and read off their coordinates before the batches are aligned, ``(n_cells, n_axes)``."""
        parts = [decode(unit[start : start + chunk]) @ self.loadings for start in range(0, len(unit), chunk)]
        return np.concatenate(parts) - self.origin

    def __call__(
        self, decode: Decode, unit: NDArray[np.float32], prototypes: NDArray[np.float32], batch: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Embed cells.

        Parameters
        ----------
        decode
            Log expression of points on the hypersphere, in an average batch.
        unit
            Unit vectors of the cells, ``(n_cells, n_latent)``.
        prototypes
            Unit vectors, ``(n_prototypes, n_latent)``.
        batch
            Batch of each cell, ``(n_cells,)``.

        Returns
        -------
        embedding : numpy.ndarray
            Coordinates of the cells, ``(n_cells, n_axes)``.
        """
        return self.align(self.project(decode, unit), shares_of_prototypes(unit, prototypes), batch)

    def align(
        self, coordinates: NDArray[np.float32], shares: sp.csr_matrix, batch: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Subtract from each cell the offsets of its batch, mixed by its shares of the prototypes."""
        aligned = coordinates.copy()
        for own in np.unique(batch):
            cells = np.flatnonzero(batch == own)
            aligned[cells] -= shares[cells] @ self.offsets[own]
        return aligned


def fit_axes(
    decode: Decode,
    at_prototypes: Expression,
    unit: NDArray[np.float32],
    prototypes: NDArray[np.float32],
    batch: NDArray[np.int64],
    n_batches: int,
    *,
    explained: float = EXPLAINED,
    seed: int = 0,
) -> tuple[Axes, NDArray[np.float32]]:
    """Find the principal axes of decoded log expression, and align the batches along them.

    Cells are decoded in an average batch, which is exact enough between the prototypes and needs one pass. At the
    prototypes, the mean over all batches takes its place.

    Parameters
    ----------
    decode
        Log expression of points on the hypersphere, in an average batch.
    at_prototypes
        Log expression of the prototypes, the mean over all batches, ``(n_prototypes, n_genes)``.
    unit
        Unit vectors of the cells, ``(n_cells, n_latent)``.
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``.
    batch
        Batch of each cell, ``(n_cells,)``.
    n_batches
        Number of batches.
    explained
        Share of the variance that the axes hold together; it determines their number.
    seed
        Seed of the sample of cells and of the randomised decomposition.

    Returns
    -------
    axes : Axes
        The axes.
    embedding : numpy.ndarray
        Coordinates of the cells, ``(n_cells, n_axes)``.
    """
    sample = np.sort(np.random.default_rng(seed).permutation(len(unit))[:N_FITTED])
    loadings, mean = principal_axes(decode(unit[sample]), explained, seed)
    origin = mean @ loadings
    unaligned = Axes(loadings, origin, np.zeros((n_batches, len(prototypes), len(origin)), np.float32))
    shares = shares_of_prototypes(unit, prototypes)
    coordinates = unaligned.project(decode, unit)
    average = unaligned.project(decode, prototypes) - (at_prototypes @ loadings - origin)
    offsets = average + batch_offsets(coordinates - shares @ average, shares, batch, n_batches)
    axes = Axes(loadings, origin, offsets)
    embedding = axes.align(coordinates, shares, batch)
    mass = np.maximum(np.asarray(shares.sum(axis=0)).ravel(), np.finfo(np.float32).tiny)
    return replace(axes, means=(shares.T @ embedding / mass[:, None]).astype(np.float32)), embedding


def principal_axes(x: Expression, explained: float, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Find as many principal axes as hold a share of the variance.

    Parameters
    ----------
    x
        Log expression, ``(n_points, n_genes)``.
    explained
        Share of the variance that the axes hold together.
    seed
        Seed of the randomised decomposition (Halko et al., 2011).

    Returns
    -------
    loadings : numpy.ndarray
        Orthonormal columns, ``(n_genes, n_axes)``: at least 8 and at most 40, but never more than points or genes. The
        largest weight of each is positive.
    mean : numpy.ndarray
        Mean of the points, ``(n_genes,)``.
    """
    from sklearn.utils.extmath import randomized_svd

    mean = x.mean(axis=0)
    centred = x - mean
    _, singular, rows = randomized_svd(centred, min(MOST_AXES, *x.shape), n_iter=2, random_state=seed)
    held = np.cumsum(singular**2)
    n_axes = max(FEWEST_AXES, int(np.searchsorted(held, explained * (centred**2).sum())) + 1)
    rows = rows[:n_axes]
    largest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1, keepdims=True), axis=1)
    return np.ascontiguousarray((rows * np.where(largest < 0, -1, 1)).T, dtype=np.float32), mean


def shares_of_prototypes(unit: NDArray[np.float32], prototypes: NDArray[np.float32]) -> sp.csr_matrix:
    """Spread each cell over its nearest prototypes; rows sum to one, CSR ``(n_cells, n_prototypes)``."""
    from sklearn.preprocessing import normalize

    return normalize(assign(unit, prototypes, temperature=TEMPERATURE, n_top=N_TOP).probability, norm="l1")


def query_offsets(
    coordinates: NDArray[np.float32],
    shares: sp.csr_matrix,
    batch: NDArray[np.int64],
    n_batches: int,
    centres: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Estimate by how much new batches are displaced from a reference at each prototype.

    The formula is that of :func:`batch_offsets`, with the reference in place of the mean over batches.

    Parameters
    ----------
    coordinates, shares, batch, n_batches
        The new cells, as in :func:`batch_offsets`.
    centres
        Mean of the reference at each prototype, ``(n_prototypes, n_axes)``.

    Returns
    -------
    offsets : numpy.ndarray
        Offsets, ``(n_batches, n_prototypes, n_axes)``; zero for a batch without cells.
    """
    offsets = np.zeros((n_batches, *centres.shape), np.float32)
    for b in range(n_batches):
        share, own = shares[mask := batch == b], coordinates[mask]
        mass = np.asarray(share.sum(axis=0)).ravel()
        trust = trust_in_batches(torch.from_numpy(mass[None])).numpy().T
        for _ in range(N_ROUNDS):
            rest = share.T @ (own - share @ offsets[b]) / np.maximum(mass, np.finfo(mass.dtype).tiny)[:, None]
            offsets[b] += trust * (rest - centres)
    return offsets


def batch_offsets(
    coordinates: NDArray[np.float32], shares: sp.csr_matrix, batch: NDArray[np.int64], n_batches: int
) -> NDArray[np.float32]:
    """Estimate by how much each batch is displaced at each prototype.

    As in :func:`scproto.nn.fit_alignment`, the offset of a batch at a prototype is the difference between its mean and
    the mean over batches, both weighted by the trust in it. Since cells share prototypes, the rest is estimated again
    after the first offsets are subtracted, and the offsets of all rounds add up.

    Parameters
    ----------
    coordinates
        Coordinates of the cells, ``(n_cells, n_axes)``.
    shares
        Shares of the prototypes in each cell, CSR ``(n_cells, n_prototypes)``.
    batch
        Batch of each cell, ``(n_cells,)``.
    n_batches
        Number of batches.

    Returns
    -------
    offsets : numpy.ndarray
        Offsets, ``(n_batches, n_prototypes, n_axes)``; zero for a batch without cells.
    """
    parts = [(shares[own := batch == b], coordinates[own]) for b in range(n_batches)]
    mass = np.stack([np.asarray(share.sum(axis=0)).ravel() for share, _ in parts])  # (n_batches, n_prototypes)
    trust = trust_in_batches(torch.from_numpy(mass)).numpy()[:, :, None]
    tiny = np.finfo(mass.dtype).tiny
    offsets = np.zeros((n_batches, shares.shape[1], coordinates.shape[1]), np.float32)
    for _ in range(N_ROUNDS):
        total = np.stack([share.T @ (own - share @ at) for (share, own), at in zip(parts, offsets, strict=True)])
        mean = total / np.maximum(mass, tiny)[:, :, None]
        centre = (trust * mean).sum(axis=0) / np.maximum(trust.sum(axis=0), tiny)
        offsets += trust * (mean - centre)
    return offsets
