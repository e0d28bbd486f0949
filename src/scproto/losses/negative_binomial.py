"""Negative binomial likelihood of sparse counts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def negative_binomial_nll(
    log_mean: Tensor,
    log_theta: Tensor,
    rows: Tensor | None,
    columns: Tensor | None,
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
        are allowed. Without rows and columns the counts are dense, ``(n_cells, n_genes)``: a GPU evaluates all
        entries faster than it looks some of them up.

    Returns
    -------
    ``(n_cells,)``; sums over genes, in nats.
    """
    theta = log_theta.exp()
    logits = log_mean - log_theta  # of the success probability mu / (theta + mu), (n_cells, n_genes)
    log_total = F.softplus(logits)  # log((theta + mu) / theta); exact where theta is large
    log_success = logits - log_total
    if rows is None or columns is None:
        stored = _of_counts(counts, theta, torch.lgamma(theta), log_success)
        return log_total @ theta - stored.sum(1)
    at = rows * log_mean.shape[1] + columns
    stored = _of_counts(counts, theta[columns], torch.lgamma(theta)[columns], log_success.flatten()[at])
    return (log_total @ theta).index_add(0, rows, -stored)


def _of_counts(counts: Tensor, theta: Tensor, lgamma_theta: Tensor, log_success: Tensor) -> Tensor:
    """The part of the log-likelihood that vanishes where the count is zero."""
    return torch.lgamma(counts + theta) - lgamma_theta - torch.lgamma(counts + 1.0) + counts * log_success
