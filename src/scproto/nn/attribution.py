"""Integrated gradients: how much each input contributes to a score."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def integrated_gradients(
    score: Callable[[Tensor], Tensor], weight: Tensor, x: Tensor, baseline: Tensor, n_steps: int
) -> Tensor:
    r"""Attribute a network's score to its inputs; the first layer must be linear.

    The gradient with respect to :math:`x` is averaged along the straight line from the baseline to the input by the
    midpoint rule, and multiplied by the difference between the two. The attributions of a cell sum to the difference
    between the two scores (completeness), up to the error of the rule. The first layer maps the line to a line, so the
    average can be taken after it, in fewer dimensions: the mean gradient with respect to :math:`x` is :math:`W` times
    the one with respect to :math:`W^\top x`.

    Parameters
    ----------
    score
        Network after its first layer. It maps ``(n_cells, n_hidden)`` to scores ``(n_cells,)``, each cell independently
        of the others.
    weight
        Weight of the first layer, ``(n_genes, n_hidden)``.
    x, baseline
        Inputs and the starting points of the lines, each ``(n_cells, n_genes)``.
    n_steps
        Number of midpoints on each line.

    Returns
    -------
    attributions : Tensor
        Attributions in units of the score, ``(n_cells, n_genes)``.

    References
    ----------
    Sundararajan et al., ICML 2017.
    """
    start, end = baseline @ weight, x @ weight
    gradient = torch.zeros_like(end)
    for step in range(n_steps):
        point = torch.lerp(start, end, (step + 0.5) / n_steps).requires_grad_()
        gradient += torch.autograd.grad(score(point).sum(), point)[0]
    return (x - baseline) * (gradient / n_steps @ weight.T)
