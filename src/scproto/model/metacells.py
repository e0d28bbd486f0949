"""The table of metacells as AnnData."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

from .. import _keys
from ..data.source import CellSource
from ..metacells import Level
from ..metacells.table import BLOCK_CELLS, complete, describe, sum_counts, tree_of_used
from ..metacells.tree import pool, tree_parents
from .placement import Placement

logger = logging.getLogger(__name__)


def build_metacells(
    obs: pd.DataFrame,
    genes: pd.Index,
    source: CellSource,
    batch: pd.Categorical,
    placement: Placement,
    level: Level,
    decoded: Mapping[str | None, NDArray[np.float32]],
    modelled: NDArray[np.bool_],
    label_keys: Sequence[str] = (),
) -> AnnData:
    """Assemble the table of metacells.

    Parameters
    ----------
    obs
        Table of the cells, with their labels.
    genes
        Names of the genes, ``(n_genes,)``.
    source
        Counts of these genes in the cells.
    batch
        Batch of each cell, ``(n_cells,)``.
    placement
        Where the cells lie.
    level
        Which prototypes form each metacell, and the names of the metacells.
    decoded
        Decoded shares of the modelled genes by batch (None: average over the batches), each
        ``(n_prototypes, n_modelled)``, with the genes in the order of ``genes``.
    modelled
        Mask of the genes that the decoder knows, ``(n_genes,)``.
    label_keys
        Columns of ``obs`` whose most common value is carried over, into the columns of
        :func:`scproto._keys.label_columns`.

    Returns
    -------
    metacells : AnnData
        One row per metacell that has cells; see :meth:`scproto.SCPROTO.get_metacells`.
    """
    assignment, prototypes = placement.assign(level), placement.prototypes
    used = np.unique(assignment.metacell)
    total, smooth = sum_counts(source.blocks(BLOCK_CELLS), assignment)
    mass = np.bincount(assignment.nearest, minlength=len(prototypes))
    tree = tree_of_used(prototypes, level.group, mass)
    parts = _keys.key_parts(batch.categories)
    shares = {name: _keys.SHARE + part for name, part in parts.items()}
    columns = _label_columns(label_keys, batch.categories)
    labels = {column: obs[key] for key, column in columns.items()}
    table = describe(batch, shares, labels, assignment)
    table.insert(1, "n_counts", np.asarray(total.sum(1)).ravel())
    table["tree_parent"] = tree_parents(tree, len(used))
    table.index = pd.Index([level.names[i] for i in used], dtype=object)
    # Python strings: not every reader knows files with the strings of pandas 3.
    table.columns = table.columns.astype(object)
    layers = {
        "decoded" if name is None else f"decoded_{parts[name]}": complete(
            pool(values, level.group, mass)[used], smooth, modelled
        )
        for name, values in decoded.items()
    }
    metacells = AnnData(layers["decoded"].copy(), obs=table, var=pd.DataFrame(index=genes.astype(object)))
    metacells.var[_keys.GENES] = modelled
    for layer, values in layers.items():
        metacells.layers[layer] = values
    metacells.layers["counts"] = total
    metacells.obsm[_keys.LATENT] = pool(placement.centres, level.group, mass)[used]
    metacells.obsm[_keys.SPHERE] = _unit_centres(prototypes, level, mass)[used]
    metacells.uns[_keys.TREE] = tree
    metacells.uns[_keys.NAMES] = {
        "batches": {column: name for name, column in shares.items() if column in table},
        "labels": {column: str(key) for key, column in columns.items()},
    }
    return metacells


def _unit_centres(prototypes: NDArray[np.float32], level: Level, mass: NDArray[np.int64]) -> NDArray[np.float32]:
    """Unit vectors of the metacells; at the finest level, the prototypes unchanged."""
    if len(level.names) == len(prototypes):
        return prototypes
    return normalize(pool(prototypes, level.group, mass))


def _label_columns(label_keys: Iterable[str], batches: Iterable[str]) -> dict[str, str]:
    """Choose the columns of the labels, and log those that get a different name."""
    columns = _keys.label_columns(label_keys, batches)
    for key, column in columns.items():
        if column != key:
            logger.warning(
                'The label "%s" is in obs["%s"] of the metacells, because its own name cannot be used.', key, column
            )
    return columns
