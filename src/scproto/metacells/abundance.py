"""Compare the abundance of metacells and branches between conditions, with samples as replicates: arrays only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

PRIOR_COUNT = 0.5
"""Cells that are added to each count before the logarithm, in a sample of average size."""

LEAST_SPREAD = 0.01
"""Least variance of log abundance between samples beyond that of counting."""

LEAST_VARIANCE = 1e-9
"""Least variance that is left to an item, so that a perfect fit has an error, too."""

REFERENCE = 0.5
"""Share of the metacells that serve as reference: those that change least."""

ROUNDS = 3
"""Rounds in which the reference is chosen anew; further ones change nothing."""

FEWEST = 3
"""Number of items below which their variances say nothing about each other."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Changes:
    """Changes of abundance, one row per tested column of the design and one column per item.

    Attributes
    ----------
    estimate, error
        Log2 fold change and its standard error, ``(n_tested, n_items)``.
    df
        Degrees of freedom of the errors.
    """

    estimate: Floats
    error: Floats
    df: float

    @property
    def pvalue(self) -> Floats:
        """Two-sided p-values of the t test, ``(n_tested, n_items)``."""
        return 2 * stats.t.sf(np.abs(self.estimate) / self.error, self.df)

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Lower and upper ends of the confidence intervals, each ``(n_tested, n_items)``."""
        half = stats.t.ppf((1 + level) / 2, self.df) * self.error
        return self.estimate - half, self.estimate + half


def compare_counts(counts: NDArray[np.integer], sizes: Floats, design: Floats, tested: Sequence[int]) -> Changes:
    """Test whether the abundance of items depends on columns of the design.

    Log abundances are fitted by weighted least squares. The weight of a count is one over its expected variance: that
    of counting, and one between samples that all items share. The variance that is left to each item is moderated by
    those of all items (Smyth 2004), so that few samples suffice.

    Parameters
    ----------
    counts
        Cells of each item in each sample, ``(n_samples, n_items)``; each item has at least one cell.
    sizes
        Positive size of each sample, such as its number of cells or :func:`reference_sizes`, ``(n_samples,)``.
    design
        Matrix of full rank with fewer columns than rows, ``(n_samples, n_columns)``.
    tested
        Columns to test.

    Returns
    -------
    changes : Changes
        Estimates, errors and their degrees of freedom.
    """
    logs, left = log_abundance(counts, sizes), len(design) - design.shape[1]
    weight = _weights(counts, sizes, logs, design)
    crossed = design.T * weight.T[:, None]  # (n_items, n_columns, n_samples)
    inverse = np.linalg.inv(crossed @ design)
    coefficient = (inverse @ (crossed @ logs.T[..., None]))[..., 0]
    variance = (weight * (logs - design @ coefficient.T) ** 2).sum(axis=0) / left
    variance, prior_df = moderate(np.maximum(variance, LEAST_VARIANCE), left)
    columns = np.asarray(tested)
    error = np.sqrt(variance * inverse[:, columns, columns].T)
    df = min(left + prior_df, left * counts.shape[1])
    return Changes(coefficient[:, columns].T / np.log(2), error / np.log(2), float(df))


def reference_sizes(counts: NDArray[np.integer], design: Floats, tested: Sequence[int]) -> Floats:
    """Measure each sample by its cells in the metacells that change least.

    If one population grows, the shares of all others shrink. So the share among all cells does not tell which
    population changes. This takes the half of the metacells whose changes are nearest to the median change, relative to
    their errors, and repeats that with the sizes by this half.

    Parameters
    ----------
    counts, design, tested
        As in :func:`compare_counts`.

    Returns
    -------
    sizes : numpy.ndarray
        Cells in the reference, scaled so that they sum to the number of all cells, ``(n_samples,)``.
    """
    n_kept = int(np.ceil(REFERENCE * counts.shape[1]))
    sizes = counts.sum(axis=1).astype(np.float64)
    for _ in range(ROUNDS):
        changes = compare_counts(counts, sizes, design, tested)
        apart = (changes.estimate - np.median(changes.estimate, axis=1, keepdims=True)) / changes.error
        kept = np.argsort((apart**2).sum(axis=0), kind="stable")[:n_kept]
        sizes = counts[:, kept].sum(axis=1) + PRIOR_COUNT
        sizes *= counts.sum() / sizes.sum()
    return sizes


def log_abundance(counts: NDArray[np.integer], sizes: Floats) -> Floats:
    """Natural log of the counts over the sizes; an item without cells gets the same value in all samples."""
    return np.log(counts / sizes[:, None] + PRIOR_COUNT / sizes.mean())


def moderate(variance: Floats, df: int) -> tuple[Floats, float]:
    """Shrink variances towards their common mean by empirical Bayes (Smyth 2004).

    Parameters
    ----------
    variance
        Estimated variances, ``(n_items,)``.
    df
        Their degrees of freedom.

    Returns
    -------
    moderated : numpy.ndarray
        Posterior variances, ``(n_items,)``. Fewer than three variances stay as they are.
    prior_df : float
        Degrees of freedom that the prior adds; infinite if the variances differ no more than by chance.
    """
    if len(variance) < FEWEST:
        return variance, 0.0
    logs = np.log(np.maximum(variance, 1e-8 * float(variance.mean()))) - special.digamma(df / 2) + np.log(df / 2)
    excess = float(logs.var(ddof=1) - special.polygamma(1, df / 2))
    if excess <= 0:
        return np.full(len(variance), np.exp(logs.mean())), np.inf
    half = inverse_trigamma(excess)
    prior = np.exp(logs.mean() + special.digamma(half) - np.log(half))
    return (2 * half * prior + df * variance) / (2 * half + df), 2 * half


def inverse_trigamma(value: float) -> float:
    """Solve ``trigamma(x) = value`` for a positive value, by Newton's method on ``1 / trigamma``."""
    x = 0.5 + 1 / value  # from here the method converges monotonically
    for _ in range(50):
        trigamma = float(special.polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(special.polygamma(2, x))
        x += step
        if abs(step) <= 1e-10 * x:
            break
    return x


def _weights(counts: NDArray[np.integer], sizes: Floats, logs: Floats, design: Floats) -> Floats:
    """One over the expected variance of each log abundance, ``(n_samples, n_items)``."""
    expected = np.outer(sizes / sizes.sum(), counts.sum(axis=0))
    counting = 1 / (expected + PRIOR_COUNT)
    residual = logs - design @ (np.linalg.pinv(design) @ logs)
    variance = (residual**2).sum(axis=0) / (len(design) - design.shape[1])
    return 1 / (counting + max(LEAST_SPREAD, float((variance - counting.mean(axis=0)).mean())))
