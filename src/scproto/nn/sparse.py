"""Linear layer on sparse rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class _SparseProduct(torch.autograd.Function):
    """``x @ weight`` for a sparse CSR ``x`` whose transpose is at hand; only the weight has a gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, x_transposed: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x_transposed)
        return x @ weight

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[None, None, Tensor]:
        (x_transposed,) = ctx.saved_tensors
        return None, None, x_transposed @ grad_outputs[0]


class SparseLinear(nn.Module):
    """Linear layer without bias whose input is a sparse CSR matrix.

    Both products, forward and backward, cost in proportion to the non-zero entries.

    Parameters
    ----------
    n_in, n_out
        Number of input and output features. The weight has shape ``(n_in, n_out)``.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_in, n_out))
        nn.init.normal_(self.weight, std=1.0)  # the rows of the input have unit norm

    def forward(self, x: Tensor, x_transposed: Tensor) -> Tensor:
        """Multiply ``x``, CSR ``(n_cells, n_in)``; ``x_transposed`` is the CSR of its transpose."""
        return _SparseProduct.apply(x, x_transposed, self.weight)
