"""The embedding of all cells."""

from __future__ import annotations

from collections.abc import Iterator

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
        rows = expression_rows(module, source, chunk, present)
        parts = [module.encoder(_input(x, module.device)).cpu() for x in rows]
    module.train(was_training)
    return torch.cat(parts)


def expression_rows(
    module: PrototypeModule, source: CellSource, chunk: int, present: NDArray[np.bool_] | None = None
) -> Iterator[sp.csr_matrix | NDArray[np.float32]]:
    """Yield the log expression of cells as the encoder reads it, `chunk` cells at a time, ``(n_rows, n_genes)``.

    The rows are dense if `present` tells that genes are missing, as these are completed.
    """
    if present is None:
        yield from (normalise(counts, source.library[cells]) for cells, counts in source.blocks(chunk))
    else:
        profiles = Profiles(module.profiles.cpu().numpy())
        yield from (profiles.fill(counts, present) for _, counts in source.blocks(chunk))


def _input(x: sp.csr_matrix | NDArray[np.float32], device: torch.device) -> Tensor:
    """Input of the encoder; always dense on a GPU."""
    if isinstance(x, np.ndarray):
        return torch.from_numpy(x).to(device)
    return encoder_input(x) if device.type == "cpu" else torch.from_numpy(x.toarray()).to(device)
