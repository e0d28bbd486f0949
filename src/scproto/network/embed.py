"""The embedding of all cells."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.minibatch import encoder_input, normalise
from ..data.source import CellSource
from ..metacells import Profiles
from ..nn.chunk import CHUNK
from .module import PrototypeModule


def embed(
    module: PrototypeModule, source: CellSource, chunk: int = CHUNK, present: NDArray[np.bool_] | None = None
) -> Tensor:
    """Embed all cells, without dropout and before the batches are aligned.

    Parameters
    ----------
    module
        The network, on any device.
    source
        The cells.
    chunk
        Number of cells that the encoder reads at a time.
    present
        Mask of the genes that were measured, ``(n_genes,)``, if some were not. The others are completed from the
        profiles of the prototypes (:meth:`scproto.metacells.Profiles.fill`).

    Returns
    -------
    unit : Tensor
        Unit vectors on the CPU, ``(n_cells, n_latent)``.
    """
    was_training = module.training
    module.eval()
    with torch.no_grad():
        if present is None:
            parts = [
                module.encoder(_input(normalise(counts, source.library[cells]), module.device)).cpu()
                for cells, counts in source.blocks(chunk)
            ]
        else:
            profiles = Profiles(module.profiles.cpu().numpy())
            parts = [
                module.encoder(torch.from_numpy(profiles.fill(counts, present)).to(module.device)).cpu()
                for _, counts in source.blocks(chunk)
            ]
    module.train(was_training)
    return torch.cat(parts)


def _input(x: sp.csr_matrix, device: torch.device) -> Tensor:
    """Input of the encoder; always dense on a GPU."""
    return encoder_input(x) if device.type == "cpu" else torch.from_numpy(x.toarray()).to(device)
