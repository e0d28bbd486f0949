"""Data for the page's scripts, which draw, search and export them: plain values from cells and metacells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._labels import as_names
from ..graph import nearest_others
from ..pl.colors import OTHER, Groups
from ..pl.umap import umap_of
from ..tl.contrast import N_SIBLINGS, PSEUDOCOUNT, log2_fold_change, members_of, weighted_means
from .encode import category_codes, numbers, quantise, to_base64

MAX_CELLS = 50_000
"""Maximum number of cells on the map; more cells add bytes but hardly any visible dots."""

MAX_EXPRESSION = 3_000_000
"""Maximum number of bytes for the expression of genes in metacells, before base64."""

N_TOP = 10
"""Maximum number of top genes per metacell."""


def gather(
    adata: AnnData,
    metacells: AnnData,
    batch: Groups,
    label: Groups | None,
    label_key: str | None,
    background: NDArray[np.floating] | None = None,
) -> dict[str, Any]:
    """Gather everything that the scripts of the page need.

    Parameters
    ----------
    adata, metacells
        Cells and metacells as in :func:`scproto.reporting.write_report`, with a UMAP.
    batch, label
        Batch and label of each cell.
    label_key
        Column with the labels, or None.
    background
        Places of further cells to show in grey, ``(n_further, 2)``.

    Returns
    -------
    payload : dict
        ``background`` (None without further cells), ``cells``, ``metacells``, ``batches``, ``labels`` (None without
        labels) and ``genes``; arrays are in base64.
    """
    # The order is random, so that the last category does not hide the others.
    rng = np.random.default_rng(0)
    drawn = rng.permutation(adata.n_obs)[:MAX_CELLS]
    behind = np.empty((0, 2)) if background is None else background[rng.permutation(len(background))[:MAX_CELLS]]
    cells_at, metacells_at, behind_at = _places(umap_of(adata)[drawn], umap_of(metacells), behind)
    cells = cells_at | {"n": adata.n_obs, "batch": to_base64(category_codes(batch.codes[drawn]))}
    if label is not None:
        cells["label"] = to_base64(category_codes(label.codes[drawn]))
    column = None if label_key is None else _keys.label_column(metacells, label_key)
    majority = None if column is None else as_names(metacells.obs[column])
    return {
        "background": None if background is None else behind_at | {"n": len(behind)},
        "cells": cells,
        "metacells": metacells_at
        | {
            "label": None if label is None or majority is None else codes_of(label, majority),
            "majority": majority,
            "labelShare": None if column is None else numbers(metacells.obs[_keys.share_of(column)]),
        },
        "batches": batches(metacells, batch),
        "labels": None if label is None else {"key": str(label_key), "names": label.names, "colors": label.colors},
        "genes": genes(metacells),
    }


def _places(*groups: NDArray[np.floating]) -> list[dict[str, Any]]:
    """Coordinates of groups of points from 0 to 65535, with the same scale for all of them and for both axes."""
    both = np.concatenate(groups)
    low = both.min(axis=0)
    high = low + max(float(np.ptp(both, axis=0).max()), 1e-9)
    codes = [quantise(points, low, high, np.uint16) for points in groups]
    return [{"x": to_base64(at[:, 0]), "y": to_base64(at[:, 1])} for at in codes]


def codes_of(groups: Groups, values: Sequence[str | None]) -> list[int]:
    """Index of each name among the groups; -1 for None. Other names get that of the shared grey, after the last."""
    place = {name: i for i, name in enumerate(groups.names)}
    grey = len(groups.names) - (groups.colors[-1:] == [OTHER])
    return [-1 if name is None else place.get(name, grey) for name in values]


def batches(metacells: AnnData, colors: Groups) -> dict[str, Any]:
    """Names of the batches, their shares in each metacell, and their colours."""
    columns = _keys.batches_by_column(metacells)
    all_names = list(columns.values())
    place = codes_of(colors, all_names)
    more = len(colors.names) in place  # batches without cells
    return {
        "names": all_names,
        "place": place,
        "shares": [numbers(metacells.obs[column]) for column in columns],
        "shown": [*colors.names, *["others"] * more],
        "colors": [*colors.colors, *[OTHER] * more],
    }


def genes(metacells: AnnData, max_bytes: int = MAX_EXPRESSION) -> dict[str, Any]:
    """Expression of genes in metacells, and the top genes of each metacell.

    Parameters
    ----------
    metacells
        Metacells from ``model.get_metacells``.
    max_bytes
        Maximum number of bytes for the expression; the top genes are always included.

    Returns
    -------
    genes : dict
        ``names``: as many genes as fit, first those that the decoder knows (``decoded`` of them), then those with the
        highest means. ``total``: number of all genes. ``high``: the largest log1p CP10k of each gene. ``codes``: log1p
        CP10k, gene by gene, scaled from 0 to 255 for that maximum. ``rest`` and ``siblings``: (gene, log2 fold change)
        of the top genes of each metacell against all others and against the nearest ones.
    """
    top = top_genes(metacells)
    order, n_decoded = _choose(metacells, {gene for each in top.values() for row in each for gene, _ in row}, max_bytes)
    logs = np.log1p(np.asarray(metacells.layers["decoded"], dtype=np.float32)[:, order].T)  # (n_chosen, n_metacells)
    high = numbers(logs.max(axis=1))
    place = {int(gene): i for i, gene in enumerate(order)}
    return {
        "names": [str(name) for name in metacells.var_names[order]],
        "decoded": n_decoded,
        "total": metacells.n_vars,
        "high": high,
        "codes": to_base64(quantise(logs, 0, np.array(high)[:, None], np.uint8)),
        **{key: [[[place[gene], fold] for gene, fold in row] for row in each] for key, each in top.items()},
    }


def _choose(metacells: AnnData, needed: set[int], max_bytes: int) -> tuple[NDArray[np.intp], int]:
    """Genes for the page, always including the needed ones, and how many of them the decoder knows."""
    modelled = metacells.var[_keys.GENES].to_numpy(bool)
    is_needed = np.isin(np.arange(metacells.n_vars), list(needed))
    mean = np.asarray(metacells.layers["decoded"]).mean(axis=0)
    n_chosen = max(max_bytes // metacells.n_obs, len(needed))
    order = np.lexsort((-mean, ~modelled, ~is_needed))[:n_chosen]
    return order, int(modelled[order].sum())


Top = dict[str, list[list[tuple[int, float]]]]


def top_genes(metacells: AnnData) -> Top:
    """Genes that are highest in a metacell against the ``rest`` and its ``siblings``, the five nearest metacells.

    The fold changes are the decoded ones of :func:`scproto.tl.rank_prototype_genes`, without the columns for which that
    function needs the model.

    Parameters
    ----------
    metacells
        Metacells from ``model.get_metacells``.

    Returns
    -------
    genes : dict
        For each reference and metacell, (index in ``var``, log2 fold change) of at most ten genes that are higher and
        that the decoder knows. The lists are empty if there is only one metacell.
    """
    n = metacells.n_obs
    if n < 2:
        return {"rest": [[]] * n, "siblings": [[]] * n}
    places = np.flatnonzero(metacells.var[_keys.GENES].to_numpy(bool))
    own = np.asarray(metacells.layers["decoded"], dtype=np.float64)[:, places]
    near = nearest_others(metacells.obsm[_keys.LATENT], min(N_SIBLINGS, n - 1))[0]
    size = metacells.obs["n_cells"].to_numpy()
    found: Top = {}
    for reference, member in (("rest", ~np.eye(n, dtype=bool)), ("siblings", members_of(near))):
        change = log2_fold_change(own, weighted_means(own, size, member), PSEUDOCOUNT)
        order = np.argsort(-change, axis=1, kind="stable")[:, :N_TOP]
        found[reference] = [
            [(int(places[gene]), round(float(row[gene]), 2)) for gene in best if row[gene] > 0]
            for row, best in zip(change, order, strict=True)
        ]
    return found
