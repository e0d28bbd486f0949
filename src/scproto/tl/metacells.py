"""Metacells: what the cells of each prototype have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

from .. import _keys
from ..metrics import mixing_entropy
from .assignment import Assignment
from .tree import Level, contract_tree, pool, tree_parents, ward_tree


def build_metacells(
    cells: AnnData,
    counts: sp.csr_matrix,
    batch: pd.Categorical,
    assignment: Assignment,
    prototypes: NDArray[np.float32],
    level: Level,
    decoded: Mapping[str, NDArray[np.float32]],
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
        Decoded shares of the modelled genes by name of the layer, each ``(n_prototypes, n_modelled)``, the
        genes in the order of ``cells``.
    modelled
        Genes that the decoder knows, mask ``(n_genes,)``.
    label_keys
        Columns of ``cells.obs`` whose majority is carried over.

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
    obs = _describe(cells.obs, batch, metacell, assignment.confidence, label_keys)
    obs.insert(1, "n_counts", np.asarray(total.sum(1)).ravel())
    obs["tree_parent"] = tree_parents(tree, len(used))
    obs.index = pd.Index(np.asarray(level.names)[used])
    layers = {
        _keys.part_of_key(layer): _complete(pool(shares, level.group, mass)[used], smooth, modelled)
        for layer, shares in decoded.items()
    }
    metacells = AnnData(layers["decoded"].copy(), obs=obs, var=cells.var[[]].copy())
    metacells.var[_keys.GENES] = modelled
    for layer, values in layers.items():
        metacells.layers[layer] = values
    metacells.layers["counts"] = total
    metacells.obsm[_keys.LATENT] = _centres(prototypes, level, mass)[used]
    metacells.uns[_keys.TREE] = tree
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


def _describe(
    obs: pd.DataFrame,
    batch: pd.Categorical,
    metacell: NDArray[np.int64],
    confidence: NDArray[np.float32],
    label_keys: Sequence[str],
) -> pd.DataFrame:
    """One row a metacell: size, batch shares and entropy, labels, confidence."""
    by_batch = pd.crosstab(metacell, batch)
    size = by_batch.sum(axis=1)
    columns: dict[str, Any] = {"n_cells": size}
    columns |= {f"share_{_keys.part_of_key(name)}": by_batch[name] / size for name in by_batch}
    columns["batch_entropy"] = mixing_entropy(by_batch.to_numpy())
    for key in label_keys:
        by_label = pd.crosstab(metacell, pd.Categorical(obs[key]), dropna=False)
        by_label = by_label[by_label.sum(axis=1) > 0]  # a metacell may have no labelled cell
        label = by_label.idxmax(axis=1).reindex(size.index).astype("category")
        columns[key] = label.cat.remove_unused_categories()  # scanpy's plots want a metacell in each
        columns[f"{key}_share"] = (by_label.max(axis=1) / by_label.sum(axis=1)).reindex(size.index)
    columns["confidence"] = pd.Series(confidence).groupby(metacell).mean()
    return pd.DataFrame(columns)
