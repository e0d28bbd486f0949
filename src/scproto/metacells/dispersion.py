"""How much the counts of a gene vary around what is expected of them: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

LOG_THETA = np.arange(-3.0, 5.1)
"""Values of the log inverse dispersion whose likelihoods are compared, a factor of e apart."""

PRIOR_SD = 1.0
"""Standard deviation of the log inverse dispersions of the genes around that of all genes."""


def dispersion_likelihood(counts: NDArray[np.float32], expected: NDArray[np.float32]) -> NDArray[np.float64]:
    r"""Log-likelihood of each inverse dispersion in `LOG_THETA`, up to a constant per gene.

    Parameters
    ----------
    counts
        Counts, ``(n_cells, n_genes)``.
    expected
        Expected counts, positive, ``(n_cells, n_genes)``.

    Returns
    -------
    log_likelihood : numpy.ndarray
        Sum over the cells of the log-likelihood of the negative binomial distribution, in nats, ``(n_theta, n_genes)``.
        Likelihoods of parts of the cells add up.
    """
    cell, gene = np.nonzero(counts)
    values, which = np.unique(counts[cell, gene].astype(np.float64), return_inverse=True)  # few different counts
    x, n_genes = values[which], counts.shape[1]
    rows = []
    for log_theta in LOG_THETA:
        theta = np.exp(log_theta)
        excess = np.log1p(expected / np.float32(theta))
        stored = (gammaln(values + theta) - gammaln(theta) - values * log_theta)[which] - x * excess[cell, gene]
        rows.append(np.bincount(gene, stored, minlength=n_genes) - theta * excess.sum(axis=0, dtype=np.float64))
    return np.stack(rows)


def most_likely_theta(log_likelihood: NDArray[np.float64]) -> NDArray[np.float32]:
    """Inverse dispersion of each gene with the largest posterior probability.

    The prior is a normal distribution of the logarithms around the most likely value of all genes together: a gene with
    few counts says little about its own. A parabola through the best value and its neighbours gives the maximum.

    Parameters
    ----------
    log_likelihood
        Log-likelihoods, ``(n_theta, n_genes)``; see :func:`dispersion_likelihood`.

    Returns
    -------
    theta : numpy.ndarray
        Inverse dispersions, ``(n_genes,)``.
    """
    centre = _maximum(log_likelihood.sum(axis=1, keepdims=True))
    prior = -0.5 * ((LOG_THETA[:, None] - centre) / PRIOR_SD) ** 2
    return np.exp(_maximum(log_likelihood + prior)).astype(np.float32)


def _maximum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Position in `LOG_THETA` of the maximum of each column."""
    best = values.argmax(axis=0).clip(1, len(LOG_THETA) - 2)
    below, at, above = (np.take_along_axis(values, best[None] + step, axis=0)[0] for step in (-1, 0, 1))
    curvature = below - 2 * at + above
    shift = np.divide(below - above, 2 * curvature, out=np.sign(above - below), where=curvature < 0)
    return LOG_THETA[best] + (LOG_THETA[1] - LOG_THETA[0]) * shift.clip(-1, 1)
