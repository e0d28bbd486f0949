"""Metacells: what the cells of each prototype have in common."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

from .. import _keys
from .._labels import as_storable
from ..metrics import mixing_entropy
from .assignment import Assignment
from .tree import Level, contract_tree, pool, tree_parents, ward_tree

logger = logging.getLogger(__name__)


def build_metacells(
    cells: AnnData,
    counts: sp.csr_matrix,
    batch: pd.Categorical,
    assignment: Assignment,
    prototypes: NDArray[np.float32],
    level: Level,
    decoded: Mapping[str | None, NDArray[np.float32]],
    modelled: NDArray[np.bool_],
    label_keys: Sequence[str] = (),
) -> AnnData:
    """Assemble the table of metacells.

    Parameters
    ----------
    cells
        Its ``obs`` holds the labels, its ``var`` the genes.
    counts
        ``(n_cells, n_genes)`` over all genes of ``cells``.
    batch
        Batch of each cell, ``(n_cells,)``.
    assignment
        Prototype and metacell of each cell.
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``.
    level
        Which prototypes make a metacell, and its name.
    decoded
        Decoded shares of the modelled genes by batch, None for the average over the batches, each
        ``(n_prototypes, n_modelled)``, the genes in the order of ``cells``.
    modelled
        Genes that the decoder knows, mask ``(n_genes,)``.
    label_keys
        Columns of ``cells.obs`` whose majority is carried over, to the columns of :func:`scproto._keys.label_columns`.

    Returns
    -------
    One row a metacell that has cells; see :meth:`scproto.SCPROTO.get_metacells`.
    """
    used, metacell = np.unique(assignment.metacell, return_inverse=True)
    member = sp.csr_matrix((np.ones(len(metacell), np.float32), (metacell, np.arange(len(metacell)))))
    total = member @ counts  # (n_metacells, n_genes)
    smooth = assignment.probability.T.tocsr()[used] @ counts
    mass = np.bincount(assignment.nearest, minlength=len(prototypes))
    tree = _tree(prototypes, level.group, mass)
    parts = _keys.key_parts(batch.categories)
    columns = _label_columns(label_keys, batch.categories)
    labels = {column: cells.obs[key] for key, column in columns.items()}
    obs = _describe(labels, batch, parts, metacell, assignment.confidence)
    obs.insert(1, "n_counts", np.asarray(total.sum(1)).ravel())
    obs["tree_parent"] = tree_parents(tree, len(used))
    obs.index = pd.Index([level.names[i] for i in used], dtype=object)
    layers = {
        "decoded" if name is None else f"decoded_{parts[name]}": _complete(
            pool(shares, level.group, mass)[used], smooth, modelled
        )
        for name, shares in decoded.items()
    }
    # Strings are Python's: those of pandas 3 make files that not every reader knows.
    obs.columns, genes = obs.columns.astype(object), cells.var_names.astype(object)
    metacells = AnnData(layers["decoded"].copy(), obs=obs, var=pd.DataFrame(index=genes))
    metacells.var[_keys.GENES] = modelled
    for layer, values in layers.items():
        metacells.layers[layer] = values
    metacells.layers["counts"] = total
    metacells.obsm[_keys.LATENT] = _centres(prototypes, level, mass)[used]
    metacells.uns[_keys.TREE] = tree
    metacells.uns[_keys.NAMES] = {
        "batches": {_keys.SHARE + part: name for name, part in parts.items() if _keys.SHARE + part in obs},
        "labels": {column: str(key) for key, column in columns.items()},
    }
    return metacells


def _tree(prototypes: NDArray[np.float32], group: NDArray[np.int64], mass: NDArray[np.int64]) -> NDArray[np.float64]:
    """Tree of the metacells that have cells, as the model's tree has it."""
    has_cells = np.bincount(group, mass) > 0
    return contract_tree(ward_tree(prototypes), np.where(has_cells, np.cumsum(has_cells) - 1, -1)[group])


def _centres(prototypes: NDArray[np.float32], level: Level, mass: NDArray[np.int64]) -> NDArray[np.float32]:
    """Unit vectors of the metacells; of the finest level the prototypes as they are."""
    if len(level.names) == len(prototypes):
        return prototypes
    return normalize(pool(prototypes, level.group, mass))


def _complete(shares: NDArray[np.float32], smooth: sp.csr_matrix, modelled: NDArray[np.bool_]) -> NDArray[np.float32]:
    """CP10k over all genes from the decoded shares of the modelled ones.

    The modelled genes share what they have of the metacell's counts as the decoder says. The others take
    their mean over the cells, weighted by the probability of the metacell.
    """
    rate = smooth.toarray()
    rate /= np.maximum(rate.sum(1, keepdims=True), np.finfo(np.float32).tiny)
    rate[:, modelled] = shares * rate[:, modelled].sum(1, keepdims=True)
    return rate * np.float32(1e4)


def _label_columns(label_keys: Iterable[str], batches: Iterable[str]) -> dict[str, str]:
    """Columns for the labels; those that are called otherwise are told."""
    columns = _keys.label_columns(label_keys, batches)
    for key, column in columns.items():
        if column != key:
            logger.warning('The label "%s" is in obs["%s"] of the metacells: its own name cannot be used.', key, column)
    return columns


def _describe(
    labels: Mapping[str, pd.Series[Any]],
    batch: pd.Categorical,
    parts: Mapping[str, str],
    metacell: NDArray[np.int64],
    confidence: NDArray[np.float32],
) -> pd.DataFrame:
    """One row a metacell: size, batch shares and entropy, labels by column, confidence."""
    by_batch = pd.crosstab(metacell, batch)
    size = by_batch.sum(axis=1)
    columns: dict[str, Any] = {"n_cells": size}
    columns |= {_keys.SHARE + parts[name]: by_batch[name] / size for name in by_batch}
    columns["batch_entropy"] = mixing_entropy(by_batch.to_numpy())
    for column, values in labels.items():
        columns[column], columns[_keys.share_of(column)] = _majority(values, metacell, len(size))
    columns["confidence"] = pd.Series(confidence).groupby(metacell).mean()
    return pd.DataFrame(columns)


def _majority(
    values: pd.Series[Any], metacell: NDArray[np.int64], n_metacells: int
) -> tuple[pd.Categorical, NDArray[np.float64]]:
    """Most common label of each metacell and its share of the labelled cells; none where no cell has a label."""
    labels = as_storable(values)
    known = labels.codes >= 0
    shape = n_metacells, max(len(labels.categories), 1)
    table = sp.csr_matrix((np.ones(known.sum()), (metacell[known], labels.codes[known])), shape=shape)
    total, most = np.asarray(table.sum(axis=1)).ravel(), table.max(axis=1).toarray().ravel()
    lead = np.where(total > 0, np.asarray(table.argmax(axis=1)).ravel(), -1)
    label = pd.Categorical.from_codes(lead, labels.categories, ordered=labels.ordered)
    share = np.divide(most, total, out=np.full(n_metacells, np.nan), where=total > 0)
    return label.remove_unused_categories(), share  # scanpy's plots want a metacell in each category
