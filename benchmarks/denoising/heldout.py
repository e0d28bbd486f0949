"""Scores of what the methods find."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.preprocessing import normalize

from scproto.metrics.denoising import (
    de_share,
    log_mse,
    marker_auroc,
    mean_absolute_correlation,
    permuted_de_shares,
    poisson_loss,
)
from scproto.tl.gamma_poisson import expected_log1p

T = ("CD4 T", "CD8 T", "CD4 Naive T", "CD4 Memory T", "activated T")
MARKERS = {
    "CD3D": T,
    "CD3E": T,
    "CD8A": ("CD8 T",),
    "CD79A": ("B",),
    "MS4A1": ("B",),
    "GNLY": ("NK",),
    "NKG7": ("NK", "CD8 T"),
    "CD14": ("CD14 Mono",),
    "LYZ": ("CD14 Mono", "CD16 Mono", "DC"),
    "FCGR3A": ("NK", "CD16 Mono"),
    "MS4A7": ("CD16 Mono",),
    "PPBP": ("MK",),
}
"""Markers of blood cells and the types that should have them. Other types should not, or less."""

MAX_TESTED = 500
"""Cells of one type that are split into random halves."""

Scores = dict[str, float | None]


def score_all(tables: dict[str, np.ndarray], seen: AnnData, held_out: AnnData, seed: int) -> dict[str, Scores]:
    """Score each table of a method.

    The tables are denoised counts at the depth of the input, ``(n_cells, n_genes + n_decoys)``. To one called "mean"
    its expected log1p is added, for Poisson counts of the depth of the cell. The seed is that of the permutations. Seen
    and held-out counts are as :func:`split.split` writes them.
    """
    if "mean" in tables:
        depth = np.maximum(np.asarray(seen.X.sum(axis=1), dtype=np.float32).reshape(-1, 1), 1)
        log1p = expected_log1p(tables["mean"], None, np.float32(1e4) / depth)
        tables = tables | {"mean, log1p": np.expm1(log1p) * depth / 1e4}
    return {name: score(np.maximum(table, 0), seen, held_out, seed) for name, table in tables.items()}


def score(denoised: np.ndarray, seen: AnnData, held_out: AnnData, seed: int) -> Scores:
    """Score one table; a score that is not defined is None."""
    decoy = seen.var["decoy"].to_numpy()
    labels = held_out.obs["cell_type"].astype(str).to_numpy()
    scaled = np.log1p(normalize(denoised, norm="l1") * 1e4)
    genes, observed = denoised[:, ~decoy], held_out.X.toarray()
    expected = genes * (observed.sum() / seen.X[:, ~decoy].sum())
    found = {
        "mse": log_mse(observed, genes),
        "poisson": poisson_loss(observed, expected),
        "poisson_swapped": poisson_loss(expected, observed),
        "decoy_correlation": mean_absolute_correlation(scaled[:, decoy]),
        "decoy_de": float(np.mean([de_share(scaled[:, decoy], labels == label) for label in np.unique(labels)])),
    }
    found |= _permuted(scaled[:, ~decoy], labels, seed) | _markers(scaled, labels, seen.var_names)
    return {name: None if np.isnan(value) else float(value) for name, value in found.items()}


def _permuted(scaled: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, float]:
    """Share of genes called different between random halves of the largest type: mean and most over permutations."""
    rng = np.random.default_rng(seed)
    largest = np.flatnonzero(labels == pd.Series(labels).value_counts().index[0])
    shares = permuted_de_shares(scaled[rng.permutation(largest)[:MAX_TESTED]], rng)
    return {"permuted_de_mean": shares.mean(), "permuted_de_most": shares.max()}


def _markers(scaled: np.ndarray, labels: np.ndarray, genes: pd.Index) -> dict[str, float]:
    """AUROC of each marker that is there, and their mean."""
    present = [gene for gene in MARKERS if gene in genes]
    if not present:
        return {}
    positive = np.column_stack([np.isin(labels, MARKERS[gene]) for gene in present])
    found = marker_auroc(scaled[:, genes.get_indexer(present)], positive)
    if np.isnan(found).all():
        return {}
    return {"auroc": np.nanmean(found)} | {f"auroc_{gene}": x for gene, x in zip(present, found, strict=True)}
