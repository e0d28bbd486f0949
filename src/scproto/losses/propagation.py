"""Coverage: every population, the rare ones too, has a prototype near it."""

from __future__ import annotations

from torch import Tensor


def propagation_loss(scores: Tensor) -> Tensor:
    """Min-max distance of cells to their nearest prototype.

    The distance of a cell is one minus its largest cosine similarity to a prototype; the loss is that of the cell that
    is farthest.

    Parameters
    ----------
    scores
        Cosine similarity of cells and prototypes, ``(n_cells, n_prototypes)``.

    Returns
    -------
    Scalar in [0, 2].

    References
    ----------
    scProto, LMRL workshop at ICLR 2025.
    """
    farthest = scores.detach().amax(dim=1).argmin(dim=0, keepdim=True)
    return 1.0 - scores.index_select(0, farthest).max()  # the other cells have no gradient to compute
