"""The embedding: coordinates of cells along the axes of their decoded expression."""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.source import CellSource
from ..metacells.axes import Decode, fit_axes
from .module import PrototypeModule

Values = NDArray[np.float32]


def fit_read_out(module: PrototypeModule, source: CellSource, unit: Values, seed: int) -> Values:
    """Find the axes of the embedding, set them in the network, and embed the cells.

    Parameters
    ----------
    module
        Trained network with its final prototypes.
    source
        Training cells. Their median depth is the number of counts at which expression is read.
    unit
        Unit vectors of the aligned cells, ``(n_cells, n_latent)``.
    seed
        Seed of the sample of cells that the axes are found from.

    Returns
    -------
    embedding : numpy.ndarray
        Coordinates of the cells, ``(n_cells, n_axes)``.
    """
    depth = float(np.median(source.library))
    axes, embedding = fit_axes(
        in_average_batch(module, depth),
        over_batches(module, depth),
        unit,
        unit_prototypes(module),
        source.batch,
        module.n_batches,
        seed=seed,
    )
    module.set_axes(axes, depth)
    return embedding


def read_out(module: PrototypeModule, unit: Values, batch: NDArray[np.int64]) -> Values:
    """Embed cells along the axes of the network.

    Parameters
    ----------
    module
        Network with axes. Without axes, as saved by earlier versions, the embedding is the hypersphere.
    unit
        Unit vectors of the aligned cells, ``(n_cells, n_latent)``.
    batch
        Batch of each cell, ``(n_cells,)``.

    Returns
    -------
    embedding : numpy.ndarray
        Coordinates of the cells, ``(n_cells, n_axes)``.
    """
    axes = module.axes
    if not axes.n_axes:
        return unit
    return axes(in_average_batch(module, float(module.axes_depth)), unit, unit_prototypes(module), batch)


def read_out_prototypes(module: PrototypeModule) -> Values:
    """Coordinates of the prototypes in the same embedding, ``(n_prototypes, n_axes)``."""
    axes = module.axes
    if not axes.n_axes:
        return unit_prototypes(module)
    return over_batches(module, float(module.axes_depth)) @ axes.loadings - axes.origin


def unit_prototypes(module: PrototypeModule) -> Values:
    """Unit vectors of the prototypes, ``(n_prototypes, n_latent)``."""
    return module.unit_prototypes.detach().cpu().numpy()


@torch.no_grad()
def shares(module: PrototypeModule, unit: Values, batch: int | None = None) -> Values:
    """Decode unit vectors into shares of the genes, ``(n_points, n_genes)``; by default the mean over the batches."""
    return module.decode(torch.from_numpy(unit).to(module.device), batch).cpu().numpy()


def in_average_batch(module: PrototypeModule, depth: float) -> Decode:
    """Function that decodes unit vectors into log1p of the counts of a cell of this depth, in an average batch."""

    @torch.no_grad()
    def decode(unit: Values) -> Values:
        log_share = module.decoder.in_average_batch(torch.from_numpy(unit).to(module.device))
        return log_share.softmax(1).mul_(depth).log1p_().cpu().numpy()

    return decode


@torch.no_grad()
def over_batches(module: PrototypeModule, depth: float) -> Values:
    """Mean over the batches of log1p of the prototypes' counts at this depth, ``(n_prototypes, n_genes)``."""
    prototypes = module.unit_prototypes
    parts = (module.decode(prototypes, batch).mul_(depth).log1p_() for batch in range(module.n_batches))
    return (functools.reduce(torch.Tensor.add_, parts) / module.n_batches).cpu().numpy()
