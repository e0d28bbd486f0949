"""Encoder from counts to the hypersphere; it never sees the batch."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from .dropout import Dropout
from .matmul import Linear
from .sparse import SparseLinear


class Encoder(nn.Module):
    """Multilayer perceptron from normalised expression to a unit vector.

    The batch is not an input, so that a new batch can be embedded without training.

    Parameters
    ----------
    n_genes
        Number of input genes.
    n_hidden
        Width of the two hidden layers.
    n_latent
        Dimension of the embedding.
    dropout
        Dropout rate after the first hidden layer.
    """

    def __init__(self, n_genes: int, n_hidden: int = 256, n_latent: int = 32, dropout: float = 0.1) -> None:
        super().__init__()
        self.first = SparseLinear(n_genes, n_hidden)
        self.rest = nn.Sequential(
            nn.LayerNorm(n_hidden),
            nn.ReLU(inplace=True),
            Dropout(dropout),
            Linear(n_hidden, n_hidden),
            nn.LayerNorm(n_hidden),
            nn.ReLU(inplace=True),
            nn.Linear(n_hidden, n_latent),
        )

    def forward(self, x: Tensor, x_transposed: Tensor | None = None) -> Tensor:
        """Embed cells.

        Parameters
        ----------
        x
            Log1p CP10k of the cells, scaled to unit norm, ``(n_cells, n_genes)``.
        x_transposed
            Transpose of `x`, needed in training if `x` is sparse; see :class:`~scproto.nn.sparse.SparseLinear`.

        Returns
        -------
        unit : Tensor
            Unit vectors, ``(n_cells, n_latent)``.
        """
        return self.head(self.first(x, x_transposed))

    def head(self, hidden: Tensor) -> Tensor:
        """Embed cells from the output of the linear first layer, ``(n_cells, n_hidden)``."""
        return F.normalize(self.rest(hidden), dim=1)
