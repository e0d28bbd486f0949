"""Negative binomial likelihood of sparse counts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def negative_binomial_nll(
    log_mean: Tensor,
    log_theta: Tensor,
    rows: Tensor,
    columns: Tensor,
    counts: Tensor,
) -> Tensor:
    r"""Negative log-likelihood of each cell, summed over its genes.

    With mean :math:`\mu` and inverse dispersion :math:`\theta` the log-likelihood splits into a part that
    every entry has, :math:`\theta \log\frac{\theta}{\theta + \mu}`, and a part that vanishes where the
    count is zero. The log-gamma functions are therefore evaluated on the stored counts alone.

    Parameters
    ----------
    log_mean
        Log of the expected counts, ``(n_cells, n_genes)``.
    log_theta
        Log of the inverse dispersion of each gene, ``(n_genes,)``.
    rows, columns, counts
        The non-zero counts in coordinate form, each ``(n_nonzero,)``. Entries that are stored but zero
        are allowed.

    Returns
    -------
    ``(n_cells,)``; sums over genes, in nats.
    """
    n_genes = log_mean.shape[1]
    theta = log_theta.exp()
    logits = log_mean - log_theta  # of the success probability mu / (theta + mu), (n_cells, n_genes)
    log_total = F.softplus(logits)  # log((theta + mu) / theta); exact where theta is large
    flat = rows * n_genes + columns
    theta_nz = theta[columns]
    stored = (
        torch.lgamma(counts + theta_nz)
        - torch.lgamma(theta)[columns]
        - torch.lgamma(counts + 1.0)
        + counts * (logits.reshape(-1)[flat] - log_total.reshape(-1)[flat])
    )
    return (log_total @ theta).index_add(0, rows, -stored)
