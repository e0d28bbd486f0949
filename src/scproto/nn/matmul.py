"""Precision of matrix products: float32, except in training, where it is the fastest that the hardware has."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._compat import multiplies_bfloat16, reads_halves


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """Multiply in float32, or in training with factors in bfloat16 if the hardware multiplies these faster.

    The hardware keeps the sums in float32; only the factors and the result are rounded. If the weights `b` get no
    gradient (embedding, decoding, attribution), nothing is rounded.

    Parameters
    ----------
    a
        First factor, ``(n, k)``.
    b
        Weights, ``(k, m)``.

    Returns
    -------
    product : Tensor
        Product in float32, ``(n, m)``.
    """
    if rounds(b):
        return (a.bfloat16() @ b.bfloat16()).float()
    return a @ b


def rounds(weight: Tensor) -> bool:
    """Whether factors are rounded to bfloat16: in training, if the hardware multiplies these faster."""
    return trains(weight) and multiplies_bfloat16(weight.device)


def row_type(weight: Tensor) -> torch.dtype:
    """Type of the rows that a sparse product sums: float16 in training if it is read faster, otherwise float32."""
    return torch.float16 if trains(weight) and reads_halves() else torch.float32


def trains(weight: Tensor) -> bool:
    """Whether the weight will get a gradient."""
    return torch.is_grad_enabled() and weight.requires_grad


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """:func:`torch.nn.functional.linear` that uses :func:`matmul`; the bias is added in float32."""
    if rounds(weight):
        return matmul(x, weight.T) + bias
    return F.linear(x, weight, bias)


class Linear(nn.Linear):
    """:class:`torch.nn.Linear` that uses :func:`linear`."""

    def forward(self, input: Tensor) -> Tensor:
        """Map ``(n_cells, in_features)`` to ``(n_cells, out_features)``."""
        return linear(input, self.weight, self.bias)
