"""Coverage: every population, even a rare one, has a prototype nearby."""

from __future__ import annotations

from torch import Tensor


def propagation_loss(scores: Tensor) -> Tensor:
    """Min-max distance: the largest distance between a cell and its nearest prototype.

    The distance is one minus the cosine similarity.

    Parameters
    ----------
    scores
        Cosine similarity of cells and prototypes, ``(n_cells, n_prototypes)``.

    Returns
    -------
    loss : Tensor
        Scalar in [0, 2].

    References
    ----------
    scProto, LMRL workshop at ICLR 2025.
    """
    farthest = scores.detach().amax(dim=1).argmin(dim=0, keepdim=True)
    return 1.0 - scores.index_select(0, farthest).max()  # only this cell needs a gradient
