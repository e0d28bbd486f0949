"""Which cells make up a minibatch, and which cells stand in for them as further views."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..graph import KnnGraph

DECODED_GENES = 500
"""About as many genes are decoded in a step; each is decoded in its share of the steps."""


class Request(NamedTuple):
    """What a minibatch is to hold: cells of each view ``(n_views, n_cells)`` and genes to decode ``(n_decoded,)``."""

    views: NDArray[np.int64]
    genes: NDArray[np.int64]


class ViewSampler:
    """Index arrays of the views of each minibatch of an epoch, drawn all at once, and of the genes to decode.

    The first view is the cell itself, the second a cell that should get the same prototype: a neighbour in
    its own batch or, for a share of the draws, a mutual neighbour in another batch where it has one.

    Parameters
    ----------
    within
        Neighbours within the batch.
    genes
        Genes to decode, ordered by abundance, ``(n_genes,)``. They come in turn, in random blocks of about 500 in which
        abundant and faint ones are alike: the loss hardly depends on the block.
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
        self,
        within: KnnGraph,
        genes: NDArray[np.int64],
        batch_size: int,
        steps_per_epoch: int,
        *,
        cross_share: float = 0.5,
        seed: int = 0,
    ) -> None:
        self.within = within
        self.genes = genes
        self.cross: KnnGraph | None = None
        self.paired = False
        self.weights: NDArray[np.floating] = np.ones(len(within))
        self.batch_size = min(batch_size, len(within))
        self.steps_per_epoch = steps_per_epoch
        self.cross_share = cross_share
        self._rng = np.random.default_rng(seed)
        self._ahead: list[NDArray[np.int64]] = []
        self._blocks: list[NDArray[np.int64]] = []

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[Request]:
        """Yield a request for each minibatch."""
        anchors = self._anchors()
        views = [anchors, self._partners(anchors)] if self.paired else [anchors]
        for cells in np.stack(views).reshape(len(views), self.steps_per_epoch, self.batch_size).swapaxes(0, 1):
            yield Request(cells, self._genes())

    def draw_ahead(self, n_epochs: int) -> NDArray[np.int64]:
        """Draw the cells of the next epochs now, by the present weights; which cells these are, in ascending order."""
        self._ahead = [self._draw() for _ in range(n_epochs)]
        return np.unique(self._ahead)

    def _anchors(self) -> NDArray[np.int64]:
        """Cells of the next epoch."""
        return self._ahead.pop(0) if self._ahead else self._draw()

    def _draw(self) -> NDArray[np.int64]:
        """Cells of an epoch, a systematic sample: each as often as its weight says, up or down to the next integer."""
        n = self.steps_per_epoch * self.batch_size
        order = self._rng.permutation(len(self.weights))
        until = np.cumsum(self.weights[order], dtype=np.float64)
        ticks = (np.arange(n) + self._rng.random()) * (until[-1] / n)
        drawn = order[np.minimum(np.searchsorted(until, ticks, side="right"), len(order) - 1)]
        return self._rng.permutation(drawn)

    def _genes(self) -> NDArray[np.int64]:
        """Next block of a random division of the genes."""
        if not self._blocks:
            n_blocks = max(1, round(len(self.genes) / DECODED_GENES))
            padding = np.full(-len(self.genes) % n_blocks, -1)
            hands = np.append(self.genes, padding).reshape(-1, n_blocks)  # of each row one gene goes to each block
            self._blocks = [block[block >= 0] for block in self._rng.permuted(hands, axis=1).T]
        return self._blocks.pop()

    def _partners(self, anchors: NDArray[np.int64]) -> NDArray[np.int64]:
        partners = self.within.draw(anchors, self._rng)
        if self.cross is None:
            return partners
        across = self.cross.draw(anchors, self._rng)
        use = (across != anchors) & (self._rng.random(len(anchors)) < self.cross_share)
        return np.where(use, across, partners)
