"""Precision of the products: float32, and while training the fastest that the hardware has."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._compat import multiplies_bfloat16, reads_halves


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b`` in float32; while training from factors in bfloat16, where the hardware multiplies these faster.

    Sums are kept in float32 by the hardware; only the factors and the result are rounded. Where the weights, ``b``, get
    no gradient (embedding, decoding, attribution) nothing is.
    """
    if rounds(b):
        return (a.bfloat16() @ b.bfloat16()).float()
    return a @ b


def rounds(weight: Tensor) -> bool:
    """Whether factors are rounded to bfloat16: the weight is in training, and the hardware is fast with it."""
    return trains(weight) and multiplies_bfloat16(weight.device)


def row_type(weight: Tensor) -> torch.dtype:
    """Type of the rows that a sparse product sums: halves while the weight is in training, if they are read faster."""
    return torch.float16 if trains(weight) and reads_halves() else torch.float32


def trains(weight: Tensor) -> bool:
    """Whether the weight is to get a gradient."""
    return torch.is_grad_enabled() and weight.requires_grad


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """:func:`torch.nn.functional.linear` by :func:`matmul`; the bias is added in float32."""
    if rounds(weight):
        return matmul(x, weight.T) + bias
    return F.linear(x, weight, bias)


class Linear(nn.Linear):
    """:class:`torch.nn.Linear` by :func:`linear`."""

    def forward(self, input: Tensor) -> Tensor:
        """Map ``(n_cells, in_features)`` to ``(n_cells, out_features)``."""
        return linear(input, self.weight, self.bias)
