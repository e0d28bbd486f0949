"""Counts of a gene whose rate varies as a gamma distribution: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NODES = np.exp(np.arange(-19.0, 4.5))
"""Nodes of the quadrature in :func:`expected_log1p`, a factor of e apart: relative error below 1e-4."""


def posterior_factor(
    counts: NDArray[np.float32], expected: NDArray[np.float32], theta: NDArray[np.float32]
) -> NDArray[np.float32]:
    r"""By how much the counts of a cell raise or lower what was expected of it.

    With a gamma prior of mean :math:`\mu` and shape :math:`\theta` on the expected counts, as in the negative binomial
    distribution, and Poisson counts :math:`x`, the posterior is a gamma distribution of shape :math:`\theta + x` and
    mean :math:`\mu (\theta + x) / (\theta + \mu)`.

    Parameters
    ----------
    counts
        Counts, ``(n_cells, n_genes)``.
    expected
        Expected counts, of the same shape.
    theta
        Inverse dispersion of each gene, ``(n_genes,)``.

    Returns
    -------
    Posterior over prior mean, ``(n_cells, n_genes)``. It is 1 where a cell shows what was expected, and near 1 where
    little was expected, as one count then tells little.
    """
    return (theta + counts) / (theta + expected)


def expected_log1p(
    expected: NDArray[np.float32], theta: NDArray[np.float32] | None, scale: NDArray[np.float32]
) -> NDArray[np.float32]:
    r"""Expectation of log1p of scaled counts, which is lower than log1p of their expectation.

    :math:`\log(1 + s x) = \int_0^\infty (1 - e^{-s x t}) e^{-t} / t \, dt` needs of the distribution of the counts only
    the Laplace transform, which has a closed form. The integral over :math:`\log t` is a sum over `NODES`.

    Parameters
    ----------
    expected
        Expected counts, ``(n_cells, n_genes)``.
    theta
        Inverse dispersion of the negative binomial distribution, of a shape that broadcasts to that of ``expected``;
        None for the Poisson distribution.
    scale
        Factor of the counts of each cell, ``(n_cells, 1)``; 10,000 over the depth gives log1p CP10k.

    Returns
    -------
    ``(n_cells, n_genes)``, in nats.
    """
    total = np.zeros_like(expected)
    for t in NODES.astype(expected.dtype):
        exponent = expected * -np.expm1(-t * scale)
        if theta is not None:
            exponent = theta * np.log1p(exponent / theta)
        total -= np.expm1(-exponent) * np.exp(-t)
    return total
