"""Negative binomial likelihood of sparse counts."""

from __future__ import annotations

from typing import Any

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

    With mean :math:`\mu` and inverse dispersion :math:`\theta`, the log-likelihood is the sum of two terms. Every entry
    has the first, :math:`\theta \log\frac{\theta}{\theta + \mu}`. The second, with its log-gamma functions, vanishes
    where the count is zero and is therefore evaluated only for the stored counts.

    Parameters
    ----------
    log_mean
        Log of the expected counts, ``(n_cells, n_genes)``.
    log_theta
        Log of the inverse dispersion of each gene, ``(n_genes,)``.
    rows, columns, counts
        Non-zero counts in coordinate form, each ``(n_nonzero,)``. Stored zeros are allowed. If `rows` and `columns` are
        None, the counts are dense, ``(n_cells, n_genes)``: a GPU evaluates all entries faster than it looks some of
        them up.

    Returns
    -------
    loss : Tensor
        Negative log-likelihood of each cell in nats, ``(n_cells,)``.
    """
    return _NegativeBinomial.apply(log_mean.contiguous(), log_theta, rows, columns, counts)


LARGE = 80.0
"""Value of x beyond which log(1 + e^x) equals x. Up to there, e^x fits into single precision."""


class _NegativeBinomial(torch.autograd.Function):
    r"""Likelihood with gradients in closed form, which takes half as many passes over the entries as autograd.

    With :math:`s = \mu / (\theta + \mu)`, the derivative with respect to the log of the mean is
    :math:`(\theta + k) s - k`. Where the count :math:`k` is zero, this is :math:`\theta s`, so again only the stored
    counts matter. The forward and the backward pass share the odds :math:`\mu / \theta`. This takes one exponential
    over all entries; softplus and sigmoid would take two.
    """

    @staticmethod
    def forward(
        ctx: Any, log_mean: Tensor, log_theta: Tensor, rows: Tensor | None, columns: Tensor | None, counts: Tensor
    ) -> Tensor:
        theta = log_theta.exp()
        logits = log_mean - log_theta  # logits of the success probability mu / (theta + mu), (n_cells, n_genes)
        odds = logits.clamp(max=LARGE).exp_()
        log_total = torch.log1p(odds)  # log((theta + mu) / theta); exact where theta is large
        torch.maximum(log_total, logits, out=log_total)  # and where it is small
        where = None if rows is None or columns is None else rows * log_mean.shape[1] + columns
        ways, ways_by_theta = _by_gamma(theta, counts) if columns is None else _by_table(theta, columns, counts)
        ctx.save_for_backward(odds, log_total, theta, rows, columns, where, counts, ways_by_theta)
        stored = ways + counts * (_take(logits, where) - _take(log_total, where))
        zeros = log_total @ theta
        return zeros - stored.sum(1) if rows is None else zeros.index_add_(0, rows, stored, alpha=-1)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        (grad,) = grad_outputs  # (n_cells,)
        odds, log_total, theta, rows, columns, where, counts, ways_by_theta = ctx.saved_tensors
        total = odds + 1.0
        success = torch.div(odds, total, out=total)
        by_theta = torch.mv(log_total.T, grad)
        if rows is None:
            by_mean = ((theta + counts) * success - counts) * grad.unsqueeze(1)
            by_theta -= torch.mv(ways_by_theta.T, grad)
        else:
            of_cell = grad.index_select(0, rows)
            by_count = counts * (_take(success, where) - 1.0) * of_cell
            by_mean = success.mul_(theta).mul_(grad.unsqueeze(1))
            by_mean.view(-1).index_add_(0, where, by_count)
            by_theta.index_add_(0, columns, ways_by_theta * of_cell, alpha=-1)
        return by_mean, theta * by_theta - by_mean.sum(0), None, None, None


SMALL = 16
"""Largest count that is looked up in a table of its gene; nearly all counts are within it."""


def _by_table(theta: Tensor, columns: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    r"""Log of :math:`\binom{k + \theta - 1}{k}` for stored counts and its derivative in theta, each ``(n_nonzero,)``.

    For whole counts, the coefficient is the product of :math:`(\theta + j) / (j + 1)` over :math:`j < k`. A table of
    the products of the first factors stays exact for a large theta, where the log-gamma functions cancel, and costs a
    tenth of what they cost.
    """
    factors = torch.arange(SMALL, dtype=theta.dtype, device=theta.device).unsqueeze(1)
    shifted = theta + factors  # (SMALL, n_genes)
    ways = F.pad((shifted / (factors + 1.0)).log_().cumsum(0), (0, 0, 1, 0))  # (SMALL + 1, n_genes)
    by_theta = F.pad(shifted.reciprocal().cumsum(0), (0, 0, 1, 0))
    level = counts.long().clamp_(0, SMALL)
    at = level * len(theta) + columns
    found, slope = _take(ways, at), _take(by_theta, at)
    others = torch.nonzero(level != counts).flatten()  # large or fractional counts
    gene = theta.index_select(0, columns.index_select(0, others))
    found[others], slope[others] = _by_gamma(gene, counts.index_select(0, others))
    return found, slope


def _by_gamma(theta: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the same as :func:`_by_table` for any counts; theta is broadcast to them."""
    ways = torch.lgamma(counts + theta) - torch.lgamma(theta) - torch.lgamma(counts + 1.0)
    return ways, torch.digamma(counts + theta) - torch.digamma(theta)


def _take(values: Tensor, at: Tensor | None) -> Tensor:
    """Values at the flat indices `at` of the stored counts, or all values if the counts are dense."""
    return values if at is None else values.view(-1).index_select(0, at)
