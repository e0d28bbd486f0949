"""Place new cells on a trained network, which stays as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..counts.normalise import BLOCK_CELLS
from ..data.source import CellSource
from ..metacells.axes import query_offsets, shares_of_prototypes
from ..metacells.profiles import fit_profiles
from ..nn import align_query, nearest_prototype
from ..nn.alignment import soft_means
from .embed import embed
from .module import PrototypeModule
from .read_out import Values, in_average_batch, read_out, read_out_prototypes, unit_prototypes


class Mapped(NamedTuple):
    """Unit vectors of new cells ``(n_cells, n_latent)``, and their coordinates ``(n_cells, n_axes)``."""

    unit: Values
    embedding: Values


def remember(module: PrototypeModule, source: CellSource, unit: Tensor) -> None:
    """Set what later queries need of the reference: profiles of the prototypes, and the means of its cells there.

    Parameters
    ----------
    module
        Trained network with its final prototypes.
    source
        Training cells.
    unit
        Unit vectors of the aligned cells, ``(n_cells, n_latent)``.
    """
    prototypes = module.unit_prototypes.detach().cpu()
    nearest = nearest_prototype(unit, prototypes)[1].numpy()
    module.profiles = torch.from_numpy(fit_profiles(source.blocks(BLOCK_CELLS), nearest, len(prototypes)).logs)
    module.reference_means = soft_means(unit, prototypes)[0]
    module.to(module.device)  # the new buffers, too


def map_cells(
    module: PrototypeModule, source: CellSource, known: NDArray[np.int64], present: NDArray[np.bool_] | None = None
) -> Mapped:
    """Embed cells of known and new batches.

    Parameters
    ----------
    module
        Trained network.
    source
        The cells; their batches are numbered among themselves.
    known
        For each of these batches, its number in the network, or -1 for a new one, ``(n_query_batches,)``. Known batches
        keep their alignment. New ones are aligned by their own cells, with the prototypes fixed.
    present
        Mask of the genes that were measured, if some were not.

    Returns
    -------
    mapped : Mapped
        Where the cells lie.
    """
    prototypes = module.unit_prototypes.detach().cpu()
    raw = embed(module, source, present=present)
    own = known[source.batch]
    unit, embedding = np.empty(raw.shape, np.float32), np.empty((len(raw), _n_axes(module)), np.float32)
    old, new = np.flatnonzero(own >= 0), np.flatnonzero(own < 0)
    if len(old):
        unit[old] = module.alignment.to("cpu")(raw[old], torch.from_numpy(own[old])).numpy()
        embedding[old] = read_out(module, unit[old], own[old])
    if len(new):
        names, batch = np.unique(source.batch[new], return_inverse=True)
        codes = torch.from_numpy(batch)
        centres = module.reference_means.cpu() if len(module.reference_means) else prototypes
        align = align_query(raw[new], codes, prototypes, centres, len(names))
        unit[new] = align(raw[new], codes).numpy()
        embedding[new] = _read_out_new(module, unit[new], batch, len(names))
    return Mapped(unit, embedding)


def _n_axes(module: PrototypeModule) -> int:
    return module.axes.n_axes or module.prototypes.shape[1]


def _read_out_new(module: PrototypeModule, unit: Values, batch: NDArray[np.int64], n_batches: int) -> Values:
    """Coordinates of cells of new batches, aligned along the axes, ``(n_cells, n_axes)``."""
    axes, prototypes = module.axes, unit_prototypes(module)
    if not axes.n_axes:
        return unit
    decode = in_average_batch(module, float(module.axes_depth))
    shares = shares_of_prototypes(unit, prototypes)
    average = axes.project(decode, prototypes) - read_out_prototypes(module)  # one batch in place of the mean over all
    coordinates = axes.project(decode, unit) - shares @ average
    means = axes.means if axes.means.size else read_out_prototypes(module)
    offsets = query_offsets(coordinates, shares, batch, n_batches, means)
    return replace(axes, offsets=offsets).align(coordinates, shares, batch)
