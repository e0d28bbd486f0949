"""What a reference remembers of its counts: the mean log expression of the cells of each prototype."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import softmax

from ..counts.normalise import log1p_cp10k

TEMPERATURE = 0.05
"""Temperature of the softmax that spreads a cell over the prototypes that its genes resemble."""

LEAST_SHARE = 0.05
"""Smallest share of a cell's counts that the measured genes are taken to hold."""

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Profiles:
    """Mean log expression of the cells of each prototype.

    Attributes
    ----------
    logs
        Mean log1p CP10k, ``(n_prototypes, n_genes)``.
    """

    logs: Values

    def missing_signal(self, present: NDArray[np.bool_]) -> float:
        """Share of the variance between the prototypes that lies in the missing genes, from 0 to 1."""
        variance = self.logs.var(axis=0)
        return float(variance[~present].sum() / max(variance.sum(), np.finfo(np.float32).tiny))

    def fill(self, counts: sp.csr_matrix, present: NDArray[np.bool_]) -> Values:
        """Complete the log expression of cells in which genes were not measured.

        By the measured genes, each cell is spread over the prototypes that it resembles: a softmax of the cosine
        similarities of their log expression, less the mean over the prototypes. These prototypes say which share of
        the cell's counts the measured genes hold, so that its depth can be told, and how the other genes are expressed.

        Parameters
        ----------
        counts
            Counts, zero in missing genes, CSR ``(n_cells, n_genes)``.
        present
            Mask of the genes that were measured, ``(n_genes,)``.

        Returns
        -------
        filled : numpy.ndarray
            log1p CP10k, scaled to unit norm, ``(n_cells, n_genes)``.
        """
        measured = counts[:, np.flatnonzero(present)].toarray().astype(np.float32)
        total = np.maximum(measured.sum(axis=1, keepdims=True), 1)
        rates = np.expm1(self.logs)
        share = rates[:, present].sum(axis=1) / np.maximum(rates.sum(axis=1), np.finfo(np.float32).tiny)
        mean = self.logs.mean(axis=0)
        centres = unit_rows(self.logs[:, present] - mean[present])
        cells = unit_rows(np.log1p(measured * (1e4 * share.mean() / total)) - mean[present])
        weight = softmax(cells @ centres.T / TEMPERATURE, axis=1)  # (n_cells, n_prototypes)
        held = np.maximum(weight @ share, LEAST_SHARE)[:, None]
        filled = np.empty(counts.shape, np.float32)
        filled[:, present] = np.log1p(measured * (1e4 * held / total))
        filled[:, ~present] = weight @ self.logs[:, ~present]
        return unit_rows(filled)


def fit_profiles(
    blocks: Iterable[tuple[slice, sp.csr_matrix]], nearest: NDArray[np.int64], n_prototypes: int
) -> Profiles:
    """Average the log expression of the cells of each prototype.

    Parameters
    ----------
    blocks
        Slices of cells and their counts, ``(n_rows, n_genes)``, which together cover all cells in order.
    nearest
        Nearest prototype of each cell, ``(n_cells,)``.
    n_prototypes
        Number of prototypes. One without cells gets the mean of the others.

    Returns
    -------
    profiles : Profiles
        Mean log1p CP10k.
    """
    total: Any = None
    for cells, counts in blocks:
        own = nearest[cells]
        member = sp.csr_matrix((np.ones(len(own), np.float32), (own, np.arange(len(own)))), (n_prototypes, len(own)))
        part = np.asarray((member @ log1p_cp10k(counts)[0]).toarray(), np.float32)
        total = part if total is None else total + part
    if total is None:
        raise ValueError("There are no cells.")
    size = np.bincount(nearest, minlength=n_prototypes)
    logs = total / np.maximum(size, 1)[:, None].astype(np.float32)
    logs[size == 0] = logs[size > 0].mean(axis=0)
    return Profiles(logs)


def unit_rows(values: Values) -> Values:
    """Scale each row to unit norm; a row of zeros stays zero."""
    norm = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.maximum(norm, np.finfo(np.float32).tiny)
