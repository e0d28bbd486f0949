"""Describe counts of genes whose rates follow a gamma distribution: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NODES = np.exp(np.arange(-19.0, 4.5))
"""Nodes of the quadrature in :func:`expected_log1p`, a factor of e apart: relative error below 1e-4."""


def posterior_factor(
    counts: NDArray[np.float32], expected: NDArray[np.float32], theta: NDArray[np.float32]
) -> NDArray[np.float32]:
    r"""Compute the factor by which the counts of a cell raise or lower the expected counts.

    As in the negative binomial distribution, the rate has a gamma prior with mean :math:`\mu` (the expected counts) and
    shape :math:`\theta`, and the counts :math:`x` are Poisson. The posterior is then a gamma distribution with shape
    :math:`\theta + x` and mean :math:`\mu (\theta + x) / (\theta + \mu)`.

    Parameters
    ----------
    counts
        Counts, ``(n_cells, n_genes)``.
    expected
        Expected counts, ``(n_cells, n_genes)``.
    theta
        Inverse dispersion of each gene, ``(n_genes,)``.

    Returns
    -------
    factor : numpy.ndarray
        Posterior mean divided by prior mean, ``(n_cells, n_genes)``. It is 1 where counts equal the expected counts.
        It is near 1 where the expected counts are low, because one count then says little.
    """
    return (theta + counts) / (theta + expected)


def expected_log1p(
    expected: NDArray[np.float32], theta: NDArray[np.float32] | None, scale: NDArray[np.float32]
) -> NDArray[np.float32]:
    r"""Compute the expectation of log1p of scaled counts, which is lower than log1p of their expectation.

    With :math:`\log(1 + s x) = \int_0^\infty (1 - e^{-s x t}) e^{-t} / t \, dt`, the expectation depends on the
    distribution of the counts only through its Laplace transform, which has a closed form. A sum over `NODES` replaces
    the integral over :math:`\log t`.

    Parameters
    ----------
    expected
        Expected counts, ``(n_cells, n_genes)``.
    theta
        Inverse dispersion of the negative binomial distribution, in a shape that broadcasts to that of ``expected``;
        None for the Poisson distribution.
    scale
        Factor that scales the counts of each cell, ``(n_cells, 1)``; 10,000 divided by the depth gives log1p CP10k.

    Returns
    -------
    expectation : numpy.ndarray
        Expected log1p of the scaled counts, ``(n_cells, n_genes)``, in nats.
    """
    total = np.zeros_like(expected)
    for t in NODES.astype(expected.dtype):
        exponent = expected * -np.expm1(-t * scale)
        if theta is not None:
            exponent = theta * np.log1p(exponent / theta)
        total -= np.expm1(-exponent) * np.exp(-t)
    return total
