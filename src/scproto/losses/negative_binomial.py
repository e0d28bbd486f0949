"""Negative binomial likelihood of sparse counts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


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
    return _NegativeBinomial.apply(log_mean.contiguous(), log_theta, rows, columns, counts)


LARGE = 80.0
"""Logarithm beyond which log(1 + e^x) is x; single precision holds the exponential up to there."""


class _NegativeBinomial(torch.autograd.Function):
    r"""The likelihood with its gradients in closed form, in half the passes over the entries that autograd takes.

    With :math:`s = \mu / (\theta + \mu)` the derivative by the log of the mean is :math:`(\theta + k) s - k`. Where the
    count :math:`k` is zero that is :math:`\theta s`, so the counts again matter only where they are stored. The odds
    :math:`\mu / \theta` serve both directions: one exponential over all entries, where softplus and sigmoid have two.
    """

    @staticmethod
    def forward(
        ctx: Any, log_mean: Tensor, log_theta: Tensor, rows: Tensor | None, columns: Tensor | None, counts: Tensor
    ) -> Tensor:
        theta = log_theta.exp()
        logits = log_mean - log_theta  # of the success probability mu / (theta + mu), (n_cells, n_genes)
        odds = logits.clamp(max=LARGE).exp_()
        log_total = torch.log1p(odds)  # log((theta + mu) / theta); exact where theta is large
        torch.maximum(log_total, logits, out=log_total)  # and where it is small
        where = None if rows is None or columns is None else rows * log_mean.shape[1] + columns
        ctx.save_for_backward(odds, log_total, theta, rows, columns, where, counts)
        stored = (
            torch.lgamma(counts + _take(theta, columns))
            - _take(torch.lgamma(theta), columns)
            - torch.lgamma(counts + 1.0)
            + counts * (_take(logits, where) - _take(log_total, where))
        )
        zeros = log_total @ theta
        return zeros - stored.sum(1) if rows is None else zeros.index_add_(0, rows, stored, alpha=-1)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        (grad,) = grad_outputs  # (n_cells,)
        odds, log_total, theta, rows, columns, where, counts = ctx.saved_tensors
        success = odds / (odds + 1.0)
        digamma = torch.digamma(counts + _take(theta, columns)) - _take(torch.digamma(theta), columns)
        by_theta = torch.mv(log_total.T, grad)
        if rows is None:
            by_mean = ((theta + counts) * success - counts) * grad.unsqueeze(1)
            by_theta -= torch.mv(digamma.T, grad)
        else:
            of_cell = grad.index_select(0, rows)
            by_count = counts * (_take(success, where) - 1.0) * of_cell
            by_mean = success.mul_(theta).mul_(grad.unsqueeze(1))
            by_mean.view(-1).index_add_(0, where, by_count)
            by_theta.index_add_(0, columns, digamma * of_cell, alpha=-1)
        return by_mean, theta * by_theta - by_mean.sum(0), None, None, None


def _take(values: Tensor, at: Tensor | None) -> Tensor:
    """Values where counts are stored: numbers of genes, or of entries of a matrix; all where the counts are dense."""
    return values if at is None else values.view(-1).index_select(0, at)
