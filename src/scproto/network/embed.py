"""The embedding of all cells."""

from __future__ import annotations

import scipy.sparse as sp
import torch
from torch import Tensor

from ..data.minibatch import encoder_input, normalise
from ..data.source import CellSource
from ..nn.chunk import CHUNK
from .module import PrototypeModule


def embed(module: PrototypeModule, source: CellSource, chunk: int = CHUNK) -> Tensor:
    """Embed all cells, without dropout and before the batches are aligned.

    Parameters
    ----------
    module
        The network, on any device.
    source
        The cells.
    chunk
        Number of cells that the encoder reads at a time.

    Returns
    -------
    unit : Tensor
        Unit vectors on the CPU, ``(n_cells, n_latent)``.
    """
    was_training = module.training
    module.eval()
    with torch.no_grad():
        parts = [
            module.encoder(_input(normalise(counts, source.library[cells]), module.device)).cpu()
            for cells, counts in source.blocks(chunk)
        ]
    module.train(was_training)
    return torch.cat(parts)


def _input(x: sp.csr_matrix, device: torch.device) -> Tensor:
    """Input of the encoder; always dense on a GPU."""
    return encoder_input(x) if device.type == "cpu" else torch.from_numpy(x.toarray()).to(device)
