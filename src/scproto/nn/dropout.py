"""Dropout that draws one byte per entry."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEVELS = 256
"""Number of values of a byte; the rate is rounded to a multiple of its inverse."""


class Dropout(nn.Module):
    """:class:`torch.nn.Dropout` whose mask costs an eighth of a random number per entry.

    On a CPU, torch draws a random number for each entry, which takes as long as a layer. Here, eight entries share one
    random number of 64 bits.

    Parameters
    ----------
    p
        Probability that an entry becomes zero, rounded to a multiple of 1/256.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.n_dropped = round(p * LEVELS)

    def forward(self, x: Tensor) -> Tensor:
        """Drop entries of `x`, of any shape, in training; the others are scaled up so that the mean stays the same."""
        if not (self.training and self.n_dropped):
            return x
        bits = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device).random_(-(2**63), None)
        level = bits.view(torch.uint8)[: x.numel()].view(x.shape)
        kept = level.clamp_(self.n_dropped - 1, self.n_dropped).sub_(self.n_dropped - 1)  # 0 or 1
        return x * kept.to(x.dtype).mul_(LEVELS / (LEVELS - self.n_dropped))  # products of bytes are not vectorised
