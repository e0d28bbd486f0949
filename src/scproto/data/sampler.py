"""Which cells make up a minibatch, and which cells stand in for them as further views."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..graph import KnnGraph
from ..graph.batches import ENOUGH_CELLS, MANY_BATCHES, place_in_group

DECODED_GENES = 500
"""Approximate number of genes decoded per step; all genes take turns."""


class Request(NamedTuple):
    """Contents of a minibatch: cells of each view ``(n_views, n_cells)``, and genes to decode ``(n_decoded,)``."""

    views: NDArray[np.int64]
    genes: NDArray[np.int64]


@dataclass(frozen=True)
class Guidance:
    """What the sampler and the assignment follow until the next look at the whole embedding.

    Attributes
    ----------
    weights
        How often each cell is drawn, relative to the others, ``(n_cells,)``.
    paired
        Whether each minibatch has a second view; the warm-up has only the anchors.
    anchors
        Cells of the coming epochs, in the order of the epochs, if they were drawn in advance.
    cross
        Mutual neighbours between batches; None in the warm-up, or with a single batch.
    shares
        Target share of each batch's cells for each prototype, ``(n_batches, n_prototypes)``; None before the
        prototypes start.
    """

    weights: NDArray[np.floating]
    paired: bool = False
    anchors: tuple[NDArray[np.int64], ...] = ()
    cross: KnnGraph | None = None
    shares: NDArray[np.float32] | None = None


class ViewSampler:
    """Draws the views of each minibatch, and the genes to decode.

    The first view is the cell itself, the anchor. The second view is a cell that should get the same prototype: a
    neighbour in the same batch or, in a share of the draws, a mutual neighbour in another batch if the anchor has one.
    The anchors of an epoch are drawn all at once. With many groups of batches, each minibatch gets the anchors of a few
    groups.

    Parameters
    ----------
    within
        Neighbours of each cell within its batch.
    genes
        Genes to decode, ordered by abundance, ``(n_genes,)``. They take turns, in random blocks of about 500. Each
        block mixes abundant and rare genes in the same proportion, so that the loss hardly depends on the block.
    batch_size
        Cells per minibatch; all cells if there are fewer.
    steps_per_epoch
        Minibatches per epoch.
    group
        Group of the batch of each cell, integers from 0, ``(n_cells,)``; by default, all cells form one group.
    cross_share
        Probability that the second view is a mutual neighbour, for anchors that have one.
    seed
        Seed of the random draws.

    Attributes
    ----------
    guidance
        Current guidance. At first, all cells have the same weight and there is no second view.
    """

    def __init__(
        self,
        within: KnnGraph,
        genes: NDArray[np.int64],
        batch_size: int,
        steps_per_epoch: int,
        *,
        group: NDArray[np.int64] | None = None,
        cross_share: float = 0.5,
        seed: int = 0,
    ) -> None:
        self.within = within
        self.genes = genes
        self.guidance = Guidance(np.ones(len(within)))
        self.batch_size = min(batch_size, len(within))
        self.steps_per_epoch = steps_per_epoch
        self.group = np.zeros(len(within), np.int64) if group is None else group
        self.cross_share = cross_share
        self._rng = np.random.default_rng(seed)
        self._n_epochs = 0  # since the guidance was given
        self._blocks: list[NDArray[np.int64]] = []

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[Request]:
        """Yield a request for each minibatch of an epoch."""
        anchors = self._by_group(self._anchors())
        views = [anchors, self._partners(anchors)] if self.guidance.paired else [anchors]
        for cells in np.stack(views).reshape(len(views), self.steps_per_epoch, self.batch_size).swapaxes(0, 1):
            yield Request(cells, self._genes())

    def follow(self, guidance: Guidance) -> None:
        """Follow this guidance from now on."""
        self.guidance = guidance
        self._n_epochs = 0

    def draw(self, weights: NDArray[np.floating]) -> NDArray[np.int64]:
        """Draw the cells of an epoch, each as often as its weight says, rounded up or down: a systematic sample."""
        n = self.steps_per_epoch * self.batch_size
        order = self._rng.permutation(len(weights))
        until = np.cumsum(weights[order], dtype=np.float64)
        ticks = (np.arange(n) + self._rng.random()) * (until[-1] / n)
        drawn = order[np.minimum(np.searchsorted(until, ticks, side="right"), len(order) - 1)]
        return self._rng.permutation(drawn)

    def state(self) -> dict[str, Any]:
        """Return what the next epoch depends on besides the guidance: values for JSON, and the arrays of genes."""
        return {"rng": self._rng.bit_generator.state, "n_epochs": self._n_epochs, "genes": list(self._blocks)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a :meth:`state`, under the same guidance."""
        self._rng.bit_generator.state = state["rng"]
        self._n_epochs, self._blocks = state["n_epochs"], list(state["genes"])

    def _anchors(self) -> NDArray[np.int64]:
        """Cells of the next epoch."""
        epoch, ahead = self._n_epochs, self.guidance.anchors
        self._n_epochs += 1
        return ahead[epoch] if epoch < len(ahead) else self.draw(self.guidance.weights)

    def _by_group(self, anchors: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rearrange the cells of an epoch so that a minibatch has enough cells of each group that it holds.

        In each round, the groups take turns in a random order and give as many cells as an assignment within a batch
        needs, until none has cells left.
        """
        group = self.group[anchors]
        n_groups = int(self.group.max()) + 1
        if n_groups <= MANY_BATCHES:
            return anchors
        turn, taken = self._rng.permutation(n_groups)[group], place_in_group(group) // ENOUGH_CELLS
        minibatches = anchors[np.lexsort((turn, taken))].reshape(self.steps_per_epoch, -1)
        return self._rng.permutation(minibatches).ravel()

    def _genes(self) -> NDArray[np.int64]:
        """Next block of a random division of the genes."""
        if not self._blocks:
            n_blocks = max(1, round(len(self.genes) / DECODED_GENES))
            padding = np.full(-len(self.genes) % n_blocks, -1)
            hands = np.append(self.genes, padding).reshape(-1, n_blocks)  # each block gets one gene of each row
            self._blocks = [block[block >= 0] for block in self._rng.permuted(hands, axis=1).T]
        return self._blocks.pop()

    def _partners(self, anchors: NDArray[np.int64]) -> NDArray[np.int64]:
        partners = self.within.draw(anchors, self._rng)
        if self.guidance.cross is None:
            return partners
        across = self.guidance.cross.draw(anchors, self._rng)
        use = (across != anchors) & (self._rng.random(len(anchors)) < self.cross_share)
        return np.where(use, across, partners)
