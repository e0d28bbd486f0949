"""Counts of all cells, split into a part to see and a part to hold out."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from ..counts.normalise import BLOCK_CELLS
from ..metrics.held_out import split_counts
from .memory import MemoryCells
from .source import CellSource


def split(source: CellSource, rng: np.random.Generator, fraction: float = 0.5) -> tuple[MemoryCells, sp.csr_matrix]:
    """Split the counts at random; see :func:`scproto.metrics.held_out.split_counts`.

    Parameters
    ----------
    source
        The cells.
    rng
        Random generator for the split.
    fraction
        Expected share of the counts in the first part.

    Returns
    -------
    seen : MemoryCells
        The cells with the counts of the first part.
    held_out : scipy.sparse.csr_matrix
        The other counts, ``(n_cells, n_genes)``.
    """
    parts = [split_counts(sp.csr_matrix(counts), rng, fraction) for _, counts in source.blocks(BLOCK_CELLS)]
    seen, held_out = (sp.vstack(part, format="csr") for part in zip(*parts, strict=True))
    return MemoryCells(seen, source.batch), held_out
