"""Linear layer for sparse or dense rows of counts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .matmul import matmul, row_type


class _SparseProduct(torch.autograd.Function):
    """``x @ weight`` for a CSR `x` whose transpose is given; only the weight gets a gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, x_transposed: Tensor, weight: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.save_for_backward(x_transposed)
        ctx.dtype = dtype
        return _product(x, weight.to(dtype)).float()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[None, None, Tensor, None]:
        (x_transposed,), (grad,) = ctx.saved_tensors, grad_outputs
        lowest, highest = grad.aminmax()
        scale = torch.maximum(-lowest, highest).clamp_min(
            torch.finfo(grad.dtype).tiny
        )  # else it may be too small for float16
        product = _product(x_transposed, (grad / scale).to(ctx.dtype)).float()
        return None, None, product.mul_(scale), None


def _product(x: Tensor, dense: Tensor) -> Tensor:
    """Compute ``x @ dense`` for a CSR `x` as weighted sums of rows, which torch does twice as fast as the product.

    The sums are in float32, whatever the type of the rows.
    """
    return F.embedding_bag(
        x.col_indices(),
        dense,
        x.crow_indices(),
        mode="sum",
        per_sample_weights=x.values().to(dense.dtype),
        include_last_offset=True,
    )


class SparseLinear(nn.Module):
    """Linear layer without bias for sparse (CSR) or dense input.

    For sparse input, the cost of the forward and the backward pass is proportional to the number of non-zero entries.

    Parameters
    ----------
    n_in, n_out
        Number of input and output features. The weight has shape ``(n_in, n_out)``.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_in, n_out))
        nn.init.normal_(self.weight, std=1.0)  # the rows of the input have unit norm

    def forward(self, x: Tensor, x_transposed: Tensor | None = None) -> Tensor:
        """Multiply the input by the weight.

        Parameters
        ----------
        x
            CSR or dense input, ``(n_cells, n_in)``.
        x_transposed
            Transpose of `x` as CSR, needed in training if `x` is sparse.

        Returns
        -------
        product : Tensor
            Output, ``(n_cells, n_out)``.
        """
        if x.layout == torch.strided:
            return matmul(x, self.weight)
        if x_transposed is None:
            return _product(x, self.weight)
        return _SparseProduct.apply(x, x_transposed, self.weight, row_type(self.weight))
