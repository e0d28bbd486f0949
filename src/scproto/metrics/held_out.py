"""How well metacells predict held-out counts: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

CHUNK = 512
"""Number of cells that are predicted at a time."""

N_ITERATIONS = 10
"""Number of times that the profiles of the metacells and the factors of the batches are fitted in turn."""


def split_counts(
    counts: sp.csr_matrix, rng: np.random.Generator, fraction: float = 0.5
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Split the counts at random into two parts.

    If the counts are Poisson, the parts are independent given the expression of the cell.

    Parameters
    ----------
    counts
        Whole numbers, ``(n_cells, n_genes)``.
    rng
        Random generator that draws the part of each count.
    fraction
        Expected share of the counts in the first part.

    Returns
    -------
    first, second : scipy.sparse.csr_matrix
        Parts, float32, each of the same shape as ``counts``.

    References
    ----------
    Neufeld et al., Biostatistics 2024 (count splitting).
    """
    first, second = counts.astype(np.float32), counts.astype(np.float32)
    first.data = rng.binomial(counts.data.astype(np.int64), fraction).astype(np.float32)
    second.data = second.data - first.data
    return first, second


def held_out_likelihood(
    seen: sp.csr_matrix,
    held_out: sp.csr_matrix,
    batch: NDArray[np.int64],
    finest: NDArray[np.int64],
    levels: NDArray[np.int64],
    scored: NDArray[np.int64],
) -> NDArray[np.float64]:
    r"""Log-likelihood of the held-out counts of each cell, predicted from the other cells of its metacell.

    A cell of metacell :math:`g` and batch :math:`b` expresses gene :math:`j` in proportion to :math:`q_{gj} s_{bj}`.
    All batches share the profile :math:`q_g` of the metacell, and all metacells share the factor :math:`s_b` of the
    batch. Profiles and factors are fitted in turn to the seen counts (Poisson). The seen counts of a cell are
    subtracted from its metacell, so that no cell predicts itself. One average cell of the whole data set is added to
    each metacell, so that no count is impossible. A metacell of one cell therefore predicts this average cell.

    Parameters
    ----------
    seen, held_out
        Counts, ``(n_cells, n_genes)``.
    batch
        Batch of each cell, integers from 0, ``(n_cells,)``.
    finest
        Metacell of each cell at the finest level, integers from 0, ``(n_cells,)``.
    levels
        Metacell that contains each finest metacell, at each level to score, ``(n_levels, n_finest)``.
    scored
        Cells to predict, ``(n_scored,)``.

    Returns
    -------
    log_likelihood : numpy.ndarray
        Multinomial log-likelihood without the coefficient, in nats, ``(n_levels, n_scored)``.
    """
    shape = levels.shape[1], int(np.max(batch)) + 1
    depth = np.asarray(seen.sum(1), np.float64).ravel()
    ones = np.ones(len(batch), np.float32)
    total = sp.csr_matrix((ones, (finest, np.arange(len(batch)))), shape=(shape[0], len(batch))) @ seen
    of_batch = sp.csr_matrix((ones, (batch, np.arange(len(batch)))), shape=(shape[1], len(batch))) @ seen
    depth_table = np.bincount(finest * shape[1] + batch, depth, minlength=shape[0] * shape[1]).reshape(shape)
    genes = np.flatnonzero(np.asarray(of_batch.sum(0)).ravel())  # genes without seen counts cannot be predicted
    total, of_batch = total[:, genes].toarray().astype(np.float64), of_batch[:, genes].toarray().astype(np.float64)
    average = of_batch.sum(0) / len(batch)  # counts of an average cell
    spread = depth_table.sum(0) / depth.sum()  # share of each batch in it
    of_batch += np.outer(spread, average)
    scores = np.zeros((len(levels), len(scored)))
    for i, group in enumerate(levels):
        member = sp.csr_matrix((np.ones(len(group)), (group, np.arange(len(group)))))
        counts, exposure = member @ total + average, member @ depth_table + average.sum() * spread
        factor = _batch_factors(counts, exposure, of_batch)
        expected = exposure @ factor
        for start in range(0, len(scored), CHUNK):
            cells = scored[start : start + CHUNK]
            g, s = group[finest[cells]], factor[batch[cells]]
            own = counts[g] - seen[cells][:, genes].toarray()
            q = own / np.maximum(expected[g] - depth[cells, None] * s, np.finfo(float).tiny)
            scores[i, start : start + CHUNK] = _log_likelihood(held_out[cells][:, genes].tocsr(), q * s)
    return scores


def _batch_factors(
    counts: NDArray[np.float64], exposure: NDArray[np.float64], of_batch: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Factor of each batch on each gene, by iterative proportional fitting.

    Parameters
    ----------
    counts
        Positive counts of each metacell, ``(n_metacells, n_genes)``.
    exposure
        Total counts of each batch in each metacell, ``(n_metacells, n_batches)``.
    of_batch
        Positive counts of each batch, ``(n_batches, n_genes)``.

    Returns
    -------
    factor : numpy.ndarray
        Factors, ``(n_batches, n_genes)``.
    """
    factor = np.ones_like(of_batch)
    for _ in range(N_ITERATIONS if len(of_batch) > 1 else 0):
        profile = counts / (exposure @ factor)
        factor = of_batch / (exposure.T @ profile)
    return factor


def _log_likelihood(counts: sp.csr_matrix, rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Multinomial log-likelihood of each row of counts under rates that need not sum to one."""
    rows = np.repeat(np.arange(len(rate)), np.diff(counts.indptr))
    log_share = np.log(rate[rows, counts.indices]) - np.log(rate.sum(1))[rows]
    return np.bincount(rows, counts.data * log_share, minlength=len(rate)).astype(np.float64)
