"""Decoder of a point on the hypersphere into the expression of a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .matmul import Linear, linear


class Decoder(nn.Module):
    """Conditional decoder with a learnt embedding of each batch, as in scPoli.

    The expected counts of a gene are the library size times the exponential of its output: no softmax over the genes,
    so that some genes can be decoded without the others. Training teaches the shares of all genes to sum to one.

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
        self.hidden = nn.Sequential(
            Linear(n_latent + n_batch_latent, n_hidden), nn.LayerNorm(n_hidden), nn.ReLU(inplace=True)
        )
        self.log_share = nn.Linear(n_hidden, n_genes)
        self.log_theta = nn.Parameter(torch.zeros(n_genes))

    def start_at(self, share: Tensor) -> None:
        """Let all cells start near the same shares of the genes, ``(n_genes,)``: those of the training cells."""
        with torch.no_grad():
            self.log_share.bias.copy_(share.clamp_min(1e-8).log())

    def forward(self, unit: Tensor, batch: Tensor, genes: Tensor | None = None) -> Tensor:
        """Log of the expected share of each gene in the counts, ``(n_cells, n_decoded)``.

        Parameters
        ----------
        unit
            Unit vectors, ``(n_cells, n_latent)``: cells or prototypes, which share the hypersphere.
        batch
            Batch in which to decode, integers ``(n_cells,)``.
        genes
            Genes to decode, ``(n_decoded,)``; by default all.
        """
        hidden = self.hidden(torch.cat([unit * self.scale, self.batch_embedding(batch)], dim=1))
        weight, bias = self.log_share.weight, self.log_share.bias
        if genes is None:
            return linear(hidden, weight, bias)
        return linear(hidden, weight.index_select(0, genes), bias.index_select(0, genes))
