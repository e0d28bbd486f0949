"""Signs of collapse during training."""

from __future__ import annotations

import torch
from torch import Tensor


class Usage:
    """How the cells of an epoch use the prototypes.

    Parameters
    ----------
    n_batches, n_prototypes
        Number of batches and of prototypes.
    """

    def __init__(self, n_batches: int, n_prototypes: int) -> None:
        self._counts = torch.zeros(n_batches, n_prototypes)
        self._cosine = torch.zeros(())

    def add(self, scores: Tensor, batch: Tensor) -> None:
        """Count the nearest prototypes of a minibatch.

        Parameters
        ----------
        scores
            Cosine similarity of cells and prototypes, ``(n_cells, n_prototypes)``.
        batch
            Batch of each cell, ``(n_cells,)``.
        """
        self._counts, self._cosine = self._counts.to(scores.device), self._cosine.to(scores.device)
        cosine, nearest = scores.max(dim=1)
        self._counts.index_put_((batch, nearest), torch.ones_like(cosine), accumulate=True)
        self._cosine += cosine.sum()

    def summary(self) -> dict[str, Tensor]:
        """Summarise the epoch for the training history.

        Returns
        -------
        summary : dict
            ``prototypes_used``: number of prototypes that are the nearest of some cell. ``share_used``: this number
            divided by the number if the cells were spread evenly over the prototypes. ``perplexity``: effective
            number of prototypes over all cells. ``perplexity_batch``: the same within a batch, averaged over the
            batches present. ``nearest_cosine``: mean cosine similarity of a cell and its nearest prototype.
        """
        per_batch = self._counts[self._counts.sum(1) > 0]
        used, n_prototypes = (self._counts.sum(0) > 0).sum().float(), self._counts.shape[1]
        evenly = n_prototypes * (1 - (1 - 1 / n_prototypes) ** self._counts.sum())
        return {
            "prototypes_used": used,
            "share_used": used / evenly,
            "perplexity": perplexity(self._counts.sum(0)),
            "perplexity_batch": perplexity(per_batch).mean(),
            "nearest_cosine": self._cosine / self._counts.sum(),
        }


def perplexity(counts: Tensor) -> Tensor:
    """Exponential of the entropy of the shares along the last axis: the effective number of classes."""
    share = counts / counts.sum(-1, keepdim=True)
    return torch.special.entr(share).sum(-1).exp()
