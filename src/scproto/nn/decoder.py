"""Decoder from a point on the hypersphere to its expression in a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .matmul import Linear, linear


class Decoder(nn.Module):
    """Conditional decoder with a learned embedding of each batch, as in scPoli.

    The expected count of a gene is the library size times the exponential of the gene's output. There is no softmax
    over the genes, so that some genes can be decoded without the others. In training, the decoder learns that the
    shares of all genes sum to one.

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
        """Start all cells near the same shares of the genes, ``(n_genes,)``, such as those of the training cells."""
        with torch.no_grad():
            self.log_share.bias.copy_(share.clamp_min(1e-8).log())

    def forward(self, unit: Tensor, batch: Tensor, genes: Tensor | None = None) -> Tensor:
        """Decode cells or prototypes, which share the hypersphere.

        Parameters
        ----------
        unit
            Unit vectors, ``(n_cells, n_latent)``.
        batch
            Batch in which to decode each of them, integers ``(n_cells,)``.
        genes
            Genes to decode, ``(n_decoded,)``; by default, all genes.

        Returns
        -------
        log_share : Tensor
            Log of the expected share of each gene in the counts, ``(n_cells, n_decoded)``.
        """
        return self._log_share(unit, self.batch_embedding(batch), genes)

    def in_average_batch(self, unit: Tensor) -> Tensor:
        """Decode with the mean of all batch embeddings; otherwise the same as :meth:`forward`."""
        return self._log_share(unit, self.batch_embedding.weight.mean(0).expand(len(unit), -1))

    def _log_share(self, unit: Tensor, batch_embedding: Tensor, genes: Tensor | None = None) -> Tensor:
        hidden = self.hidden(torch.cat([unit * self.scale, batch_embedding], dim=1))
        weight, bias = self.log_share.weight, self.log_share.bias
        if genes is None:
            return linear(hidden, weight, bias)
        return linear(hidden, weight.index_select(0, genes), bias.index_select(0, genes))
