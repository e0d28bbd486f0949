"""Denoise the expression of cells, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.memory import MemoryCells
from ..data.source import CellSource
from ..metacells import assign
from ..metacells.dispersion import dispersion_likelihood, most_likely_theta
from ..metacells.gamma_poisson import expected_log1p, posterior_factor
from ..network import PrototypeModule, shares, unit_prototypes
from ..nn.chunk import CHUNK

Level = Literal["cell", "prototype", "mixture"]
"""What is decoded for a cell: its own embedding, its nearest prototype, or all prototypes by their probability."""

LEVELS: tuple[Level, ...] = get_args(Level)

N_SAMPLED = 500
"""Maximum number of cells from which the dispersions are estimated."""

Profiles = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Function from indices of cells to shares of the genes, ``(n_chosen, n_genes)``."""


class Denoised(NamedTuple):
    """Denoised expression of some cells, in any order.

    Attributes
    ----------
    chosen
        Indices of the cells, ``(n_chosen,)``.
    share
        Expected share of each gene in the counts of a cell, ``(n_chosen, n_genes)``; rows sum to one.
    theta
        Inverse dispersion of the counts, ``(n_genes,)`` or ``(n_chosen, n_genes)``.
    """

    chosen: NDArray[np.int64]
    share: NDArray[np.float32]
    theta: NDArray[np.float32]


@dataclass(frozen=True)
class Denoiser:
    """A trained decoder and the cells to denoise.

    Attributes
    ----------
    decode
        Function from unit vectors and a batch (None: average over the batches) to shares of the genes.
    prototypes
        Unit vectors of the prototypes, ``(n_prototypes, n_latent)``.
    theta
        Inverse dispersion of each gene by level, each ``(n_genes,)``.
    cells
        Counts and batches of the cells.
    unit
        Integrated embedding of the cells, ``(n_cells, n_latent)``.
    """

    decode: Callable[[NDArray[np.float32], int | None], NDArray[np.float32]]
    prototypes: NDArray[np.float32]
    theta: Mapping[Level, NDArray[np.float32]]
    cells: CellSource
    unit: NDArray[np.float32]

    def shares(
        self, level: Level, posterior: bool = False, batch: int | None = None, *, own_batch: bool = False
    ) -> Iterator[Denoised]:
        """Denoise all cells.

        Parameters
        ----------
        level
            What is decoded for a cell.
        posterior
            Whether the decoded shares are only the prior of a cell, which its counts then update. The counts are
            compared with the shares decoded in the cell's own batch. The same factors then update any other batch.
        batch
            Batch in which the cells are decoded; by default the average over the batches.
        own_batch
            Whether to decode each cell in its own batch instead.

        Yields
        ------
        denoised : Denoised
            A chunk of cells, all of one batch.
        """
        common = None if own_batch else self._profiles(level, batch)
        for own in np.unique(self.cells.batch):
            prior = self._profiles(level, int(own)) if posterior or common is None else common
            profiles = prior if common is None else common
            for chosen in _chunks(np.flatnonzero(self.cells.batch == own)):
                share, theta = profiles(chosen), self.theta[level]
                if posterior:
                    counts = self.cells.take(chosen).toarray().astype(np.float32)
                    expected = (share if profiles is prior else prior(chosen)) * self.cells.library[chosen, None]
                    share = share * posterior_factor(counts, expected, theta)
                    share /= share.sum(axis=1, keepdims=True)
                    theta = theta + counts
                yield Denoised(chosen, share, theta)

    def most_likely_theta(self, level: Level) -> NDArray[np.float32]:
        """Most likely inverse dispersion of each gene around what is decoded at a level, ``(n_genes,)``."""
        parts = (
            dispersion_likelihood(
                self.cells.take(some.chosen).toarray().astype(np.float32),
                some.share * self.cells.library[some.chosen, None],
            )
            for some in self.shares(level, own_batch=True)
        )
        return most_likely_theta(sum(parts, np.zeros(())))

    def log1p(self, denoised: Denoised, library_size: float) -> NDArray[np.float32]:
        """Expected log1p of the scaled counts, at the depth of each cell, ``(n_chosen, n_genes)``."""
        library = self.cells.library[denoised.chosen, None]
        return expected_log1p(denoised.share * library, denoised.theta, np.float32(library_size) / library)

    def _profiles(self, level: Level, batch: int | None) -> Profiles:
        """Decode at a level: prototypes once and in advance, cells only when they are asked for."""
        if level == "cell":
            return lambda chosen: self.decode(self.unit[chosen], batch)
        table = self.decode(self.prototypes, batch)
        if level == "prototype":
            return lambda chosen: table[assign(self.unit[chosen], self.prototypes).nearest]
        n_top = len(self.prototypes)
        return lambda chosen: assign(self.unit[chosen], self.prototypes, n_top=n_top).probability @ table


def _chunks(cells: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(cells), CHUNK):
        yield cells[start : start + CHUNK]


def fit_theta_of_levels(module: PrototypeModule, cells: CellSource, unit: NDArray[np.float32], seed: int) -> None:
    """Estimate the inverse dispersions at each level from a sample of the training cells, and set them in the network.

    The dispersion that the network learns is that around the cell's own expression, and it moves little from its start.
    Around a prototype, counts vary more.
    """
    sample = np.sort(np.random.default_rng(seed).permutation(cells.n_cells)[:N_SAMPLED])
    some = MemoryCells(cells.take(sample), cells.batch[sample])
    decode = partial(shares, module)
    denoiser = Denoiser(decode, unit_prototypes(module), theta_of_levels(module), some, unit[sample])
    theta = np.stack([denoiser.most_likely_theta(level) for level in LEVELS])
    module.theta_of_levels = torch.from_numpy(theta).to(module.device)


def theta_of_levels(module: PrototypeModule) -> dict[Level, NDArray[np.float32]]:
    """Inverse dispersion of each gene by level; models of earlier versions have that of the decoder at all levels."""
    found = module.theta_of_levels.cpu().numpy()
    if len(found):
        return dict(zip(LEVELS, found, strict=True))
    return dict.fromkeys(LEVELS, module.decoder.log_theta.detach().exp().cpu().numpy())
