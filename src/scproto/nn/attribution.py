"""Integrated gradients: which inputs make a score what it is."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def integrated_gradients(
    score: Callable[[Tensor], Tensor], weight: Tensor, x: Tensor, baseline: Tensor, n_steps: int
) -> Tensor:
    r"""Attribute the score of a network whose first layer is linear to its inputs.

    The gradient in :math:`x` is averaged over the straight line from the baseline to the input, by the midpoint rule,
    and multiplied by their difference. The attributions of a cell sum to the difference of the two scores
    (completeness), but for the error of the rule. The first layer maps the line to a line, so that the average is taken
    behind it, in fewer dimensions: the mean gradient in :math:`x` is :math:`W` times that in :math:`W^\top x`.

    Parameters
    ----------
    score
        The network behind its first layer: maps ``(n_cells, n_hidden)`` to scores ``(n_cells,)``, each cell by itself.
    weight
        Of the first layer, ``(n_genes, n_hidden)``.
    x, baseline
        Inputs, and where each line starts, ``(n_cells, n_genes)``.
    n_steps
        Midpoints on the line.

    Returns
    -------
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
