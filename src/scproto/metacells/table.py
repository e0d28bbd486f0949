"""Summarise the cells of each metacell: arrays in, arrays or a table out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from .._keys import share_of
from .._labels import as_storable
from ..metrics import mixing_entropy
from .assignment import Assignment
from .tree import contract_tree, ward_tree

BLOCK_CELLS = 16_384
"""Number of cells whose counts are summed at a time."""


def sum_counts(
    blocks: Iterable[tuple[slice, sp.csr_matrix]], assignment: Assignment
) -> tuple[sp.csr_matrix, NDArray[np.float32]]:
    """Sum the counts of each metacell that has cells.

    Parameters
    ----------
    blocks
        Slices of cells and their counts, ``(n_rows, n_genes)``, which together cover all cells in order.
    assignment
        Metacells of the cells.

    Returns
    -------
    total : scipy.sparse.csr_matrix
        Sum over the cells of each metacell, ``(n_metacells, n_genes)``.
    smooth : numpy.ndarray
        Sum over all cells, weighted by their probability of each metacell, ``(n_metacells, n_genes)``.
    """
    used, metacell = np.unique(assignment.metacell, return_inverse=True)
    total: Any = 0
    smooth: Any = 0
    for cells, block in blocks:
        counts = block.astype(np.float32, copy=False)
        n_rows = counts.shape[0]
        entries = np.ones(n_rows, np.float32), (metacell[cells], np.arange(n_rows))
        total = total + sp.csr_matrix(entries, (len(used), n_rows)) @ counts
        smooth = smooth + assignment.probability[cells].T.tocsr()[used] @ counts
    return sp.csr_matrix(total), smooth.toarray()


def complete(shares: NDArray[np.float32], smooth: NDArray[np.float32], modelled: NDArray[np.bool_]) -> NDArray[Any]:
    """Extend decoded profiles of the modelled genes to all genes.

    Together, the modelled genes keep their share of the metacell's counts, which the decoder divides among them. Every
    other gene keeps its own share.

    Parameters
    ----------
    shares
        Decoded shares of the modelled genes, ``(n_metacells, n_modelled)``. Each row sums to one.
    smooth
        Counts, summed over all cells with the probability of each metacell as weight, ``(n_metacells, n_genes)``.
    modelled
        Mask of the genes that the decoder models, ``(n_genes,)``.

    Returns
    -------
    profiles : numpy.ndarray
        CP10k of all genes, ``(n_metacells, n_genes)``.
    """
    rate = smooth / np.maximum(smooth.sum(1, keepdims=True), np.finfo(np.float32).tiny)
    rate[:, modelled] = shares * rate[:, modelled].sum(1, keepdims=True)
    return rate * np.float32(1e4)


def tree_of_used(
    prototypes: NDArray[np.float32], group: NDArray[np.int64], mass: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Reduce the tree of all prototypes to the metacells that have cells.

    Parameters
    ----------
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``.
    group
        Metacell of each prototype, ``(n_prototypes,)``.
    mass
        Number of cells of each prototype, ``(n_prototypes,)``.

    Returns
    -------
    tree : numpy.ndarray
        Linkage in SciPy's format, ``(n_used - 1, 4)``.
    """
    has_cells = np.bincount(group, mass) > 0
    return contract_tree(ward_tree(prototypes), np.where(has_cells, np.cumsum(has_cells) - 1, -1)[group])


def describe(
    batch: pd.Categorical,
    share_columns: Mapping[str, str],
    labels: Mapping[str, pd.Series[Any]],
    assignment: Assignment,
) -> pd.DataFrame:
    """Describe size, batches, labels and confidence of each metacell that has cells.

    Parameters
    ----------
    batch
        Batch of each cell, ``(n_cells,)``.
    share_columns
        Name of the column with the share of each batch, by batch.
    labels
        Labels of the cells by column, each ``(n_cells,)``.
    assignment
        Metacells of the cells.

    Returns
    -------
    table : pandas.DataFrame
        One row per metacell: ``n_cells``, shares of the batches, ``batch_entropy``, labels and their shares, and
        ``confidence``.
    """
    metacell = np.unique(assignment.metacell, return_inverse=True)[1]
    by_batch = pd.crosstab(metacell, batch)
    size = by_batch.sum(axis=1)
    columns: dict[str, Any] = {"n_cells": size}
    columns |= {share_columns[name]: by_batch[name] / size for name in by_batch}
    columns["batch_entropy"] = mixing_entropy(by_batch.to_numpy())
    for column, values in labels.items():
        columns[column], columns[share_of(column)] = _majority(values, metacell, len(size))
    columns["confidence"] = pd.Series(assignment.confidence).groupby(metacell).mean()
    return pd.DataFrame(columns)


def _majority(
    values: pd.Series[Any], metacell: NDArray[np.int64], n_metacells: int
) -> tuple[pd.Categorical, NDArray[np.float64]]:
    """Find the most common label of each metacell and its share of the labelled cells; missing without labels."""
    labels = as_storable(values)
    known = labels.codes >= 0
    shape = n_metacells, max(len(labels.categories), 1)
    table = sp.csr_matrix((np.ones(known.sum()), (metacell[known], labels.codes[known])), shape=shape)
    total, most = np.asarray(table.sum(axis=1)).ravel(), table.max(axis=1).toarray().ravel()
    lead = np.where(total > 0, np.asarray(table.argmax(axis=1)).ravel(), -1)
    label = pd.Categorical.from_codes(lead, labels.categories, ordered=labels.ordered)
    share = np.divide(most, total, out=np.full(n_metacells, np.nan), where=total > 0)
    return label.remove_unused_categories(), share  # scanpy's plots need a metacell in each category
