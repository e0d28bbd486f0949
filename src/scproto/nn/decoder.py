"""Decoder of a point on the hypersphere into the expression of a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Decoder(nn.Module):
    """Conditional decoder with a learnt embedding of each batch, as in scPoli.

    Parameters
    ----------
    n_genes
        Number of genes.
    n_batches
        Number of batches.
    n_latent
        Dimension of the hypersphere.
    n_hidden
        Width of the hidden layer.
    n_batch_latent
        Dimension of the batch embeddings.

    References
    ----------
    De Donno et al., Nature Methods 2023 (scPoli).
    """

    def __init__(
        self, n_genes: int, n_batches: int, n_latent: int = 32, n_hidden: int = 256, n_batch_latent: int = 8
    ) -> None:
        super().__init__()
        self.scale = n_latent**0.5  # a unit vector has entries of order one after scaling
        self.batch_embedding = nn.Embedding(n_batches, n_batch_latent)
        self.hidden = nn.Sequential(nn.Linear(n_latent + n_batch_latent, n_hidden), nn.LayerNorm(n_hidden), nn.ReLU())
        self.logits = nn.Linear(n_hidden, n_genes)
        self.log_theta = nn.Parameter(torch.zeros(n_genes))

    def forward(self, unit: Tensor, batch: Tensor) -> Tensor:
        """Log of the expected share of each gene in the counts, ``(n_cells, n_genes)``.

        Parameters
        ----------
        unit
            Unit vectors, ``(n_cells, n_latent)``: cells or prototypes, which share the hypersphere.
        batch
            Batch in which to decode, integers ``(n_cells,)``.
        """
        hidden = self.hidden(torch.cat([unit * self.scale, self.batch_embedding(batch)], dim=1))
        return torch.log_softmax(self.logits(hidden), dim=1)
