"""Products of the training step in the fastest precision that the hardware has."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .._compat import multiplies_bfloat16


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b`` in float32; while training from factors in bfloat16, where the hardware multiplies these faster.

    Sums are kept in float32 by the hardware; only the factors and the result are rounded. Where the weights, ``b``, get
    no gradient (embedding, decoding, attribution) nothing is.
    """
    if torch.is_grad_enabled() and b.requires_grad and multiplies_bfloat16(a.device):
        return (a.bfloat16() @ b.bfloat16()).float()
    return a @ b


class Linear(nn.Linear):
    """:class:`torch.nn.Linear` by :func:`matmul`; the bias is added in float32."""

    def forward(self, input: Tensor) -> Tensor:
        """Map ``(n_cells, in_features)`` to ``(n_cells, out_features)``."""
        return matmul(input, self.weight.T) + self.bias
