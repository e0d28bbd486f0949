"""Which cells make up a minibatch, and which cells stand in for them as further views."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..graph import KnnGraph


class ViewSampler:
    """Index arrays of the views of each minibatch of an epoch, drawn all at once.

    The first view is the cell itself, the second a cell that should get the same prototype: a neighbour in
    its own batch or, for a share of the draws, a mutual neighbour in another batch where it has one.

    Parameters
    ----------
    within
        Neighbours within the batch.
    batch_size
        Cells a minibatch; all cells if there are fewer.
    steps_per_epoch
        Minibatches an epoch.
    cross_share
        Probability of looking in the other batches.
    seed
        Of all draws.

    Attributes
    ----------
    paired
        Whether the second view is drawn; the warm-up needs the cells alone.
    cross
        Mutual neighbours between the batches; none until they are set.
    weights
        How often each cell is drawn, relative to the others, ``(n_cells,)``; all alike until they are set.
    """

    def __init__(
        self, within: KnnGraph, batch_size: int, steps_per_epoch: int, *, cross_share: float = 0.5, seed: int = 0
    ) -> None:
        self.within = within
        self.cross: KnnGraph | None = None
        self.paired = False
        self.weights: NDArray[np.floating] = np.ones(len(within.indices))
        self.batch_size = min(batch_size, len(within.indices))
        self.steps_per_epoch = steps_per_epoch
        self.cross_share = cross_share
        self._rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        """Yield ``(n_views, n_cells)`` for each minibatch."""
        anchors = self._anchors(self.steps_per_epoch * self.batch_size)
        views = [anchors, self._partners(anchors)] if self.paired else [anchors]
        yield from np.stack(views).reshape(len(views), self.steps_per_epoch, self.batch_size).swapaxes(0, 1)

    def _anchors(self, n: int) -> NDArray[np.int64]:
        """Systematic sample: a cell comes as often as its weight says, up or down to the next integer."""
        order = self._rng.permutation(len(self.weights))
        until = np.cumsum(self.weights[order], dtype=np.float64)
        ticks = (np.arange(n) + self._rng.random()) * (until[-1] / n)
        drawn = order[np.minimum(np.searchsorted(until, ticks, side="right"), len(order) - 1)]
        return self._rng.permutation(drawn)

    def _partners(self, anchors: NDArray[np.int64]) -> NDArray[np.int64]:
        partners = self.within.draw(anchors, self._rng)
        if self.cross is None:
            return partners
        across = self.cross.draw(anchors, self._rng)
        use = (across != anchors) & (self._rng.random(len(anchors)) < self.cross_share)
        return np.where(use, across, partners)
