"""The objective of a minibatch and its terms."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Losses:
    """The terms of the objective and what they were computed on.

    Attributes
    ----------
    total
        Weighted sum, scalar.
    terms
        Each term before its weight, by name.
    scores
        Cosine similarity of the anchors and the prototypes, ``(n_cells, n_prototypes)``; none in the
        warm-up.
    """

    total: Tensor
    terms: dict[str, Tensor]
    scores: Tensor | None
