"""Metacells: what the cells of each prototype have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .assignment import Assignment


def build_metacells(
    cells: AnnData,
    counts: sp.csr_matrix,
    batch: pd.Categorical,
    assignment: Assignment,
    prototypes: NDArray[np.float32],
    names: Sequence[str],
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
        Prototype of each cell.
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``.
    names
        Names of the prototypes, ``(n_prototypes,)``.
    decoded
        Decoded shares of the modelled genes by name of the layer, each ``(n_prototypes, n_modelled)``.
    modelled
        Genes that the decoder knows, mask ``(n_genes,)``.
    label_keys
        Columns of ``cells.obs`` whose majority is carried over.

    Returns
    -------
    One row a prototype that has cells; see :meth:`scproto.SCPROTO.get_metacells`.
    """
    n_prototypes = len(prototypes)
    member = sp.csr_matrix(
        (np.ones(cells.n_obs, np.float32), (assignment.nearest, np.arange(cells.n_obs))), (n_prototypes, cells.n_obs)
    )
    total = member @ counts  # (n_prototypes, n_genes)
    used = np.flatnonzero(member.getnnz(axis=1))
    smooth = (assignment.probability.T @ counts)[used]
    layers = {layer: _complete(shares[used], smooth, modelled) for layer, shares in decoded.items()}
    obs = _describe(cells.obs, batch, assignment, n_prototypes, label_keys).iloc[used]
    obs.insert(1, "n_counts", np.asarray(total.sum(1)).ravel()[used])
    obs.index = pd.Index(np.asarray(names)[used])
    tree = ward_tree(prototypes[used])
    obs["tree_parent"] = tree_parents(tree, len(used))
    metacells = AnnData(layers["decoded"].copy(), obs=obs, var=cells.var[[]].copy())
    metacells.var[_keys.GENES] = modelled
    for layer, values in layers.items():
        metacells.layers[layer] = values
    metacells.layers["counts"] = sp.csr_matrix(total[used])
    metacells.obsm[_keys.LATENT] = prototypes[used]
    metacells.uns[_keys.TREE] = tree
    return metacells


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
    obs: pd.DataFrame, batch: pd.Categorical, assignment: Assignment, n_prototypes: int, label_keys: Sequence[str]
) -> pd.DataFrame:
    """One row a prototype: size, batch shares and entropy, labels, confidence."""
    metacell = pd.Series(pd.Categorical(assignment.nearest, categories=range(n_prototypes)), index=obs.index)
    by_batch = pd.crosstab(metacell, pd.Series(batch, index=obs.index), dropna=False)
    size = by_batch.sum(axis=1)
    share = by_batch.div(size.clip(lower=1), axis=0)
    columns = {"n_cells": size, **{f"share_{b}": share[b] for b in by_batch}}
    columns["batch_entropy"] = _entropy(by_batch)
    for key in label_keys:
        by_label = pd.crosstab(metacell, obs[key].astype("category"), dropna=False)
        n_labelled = by_label.sum(axis=1)
        columns[key] = by_label.idxmax(axis=1).where(n_labelled > 0).astype("category")
        columns[f"{key}_share"] = by_label.max(axis=1) / n_labelled.where(n_labelled > 0)
    confidence = pd.Series(assignment.confidence, index=obs.index)
    columns["confidence"] = confidence.groupby(metacell, observed=False).mean()
    return pd.DataFrame(columns)


def _entropy(by_batch: pd.DataFrame) -> pd.Series:
    """Entropy of the shares of the batches present over its maximum, every batch weighted to the same size."""
    by_batch = by_batch.loc[:, by_batch.sum(axis=0) > 0]
    share = by_batch / by_batch.sum(axis=0)
    share = share.div(share.sum(axis=1), axis=0).to_numpy()
    if share.shape[1] == 1:
        return pd.Series(1.0, index=by_batch.index)
    logs = np.log(share, out=np.zeros_like(share), where=share > 0)
    return pd.Series(np.maximum(-(share * logs).sum(1), 0.0) / np.log(share.shape[1]), index=by_batch.index)


def ward_tree(prototypes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Ward linkage of the prototypes in SciPy's format, ``(n_prototypes - 1, 4)``."""
    from scipy.cluster.hierarchy import linkage

    return linkage(prototypes, method="ward") if len(prototypes) > 1 else np.empty((0, 4))


def tree_parents(tree: NDArray[np.float64], n_leaves: int) -> NDArray[np.int64]:
    """Node that each leaf merges into, numbered as SciPy does, ``(n_leaves,)``; -1 without a merge."""
    parent = np.full(n_leaves, -1)
    for node, children in enumerate(tree[:, :2].astype(int), start=n_leaves):
        parent[children[children < n_leaves]] = node
    return parent
