"""Score the denoised tables of the methods."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.preprocessing import normalize

from scproto import metrics
from scproto.metacells.gamma_poisson import expected_log1p

MARKERS = Path(__file__).with_name("markers.csv")
"""Markers of blood cells, and the types that should express them more than all other types."""

MAX_TESTED = 500
"""Maximum number of cells that are split into random halves."""


def score_all(tables: dict[str, np.ndarray], seen: AnnData, held_out: AnnData, seed: int) -> dict[str, dict]:
    """Score each table of a method.

    The tables are denoised counts at the depth of the input, ``(n_cells, n_genes + n_decoys)``. If one is called
    "mean", its expected log1p at the depth of each cell, assuming Poisson counts, is scored, too. `seen` and `held_out`
    are the files that :func:`split.split` writes. The seed is for the permutations.
    """
    if "mean" in tables:
        depth = np.maximum(np.asarray(seen.X.sum(axis=1), dtype=np.float32).reshape(-1, 1), 1)
        log1p = expected_log1p(tables["mean"], None, np.float32(1e4) / depth)
        tables = tables | {"mean, log1p": np.expm1(log1p) * depth / 1e4}
    return {name: score(np.maximum(table, 0), seen, held_out, seed) for name, table in tables.items()}


def score(denoised: np.ndarray, seen: AnnData, held_out: AnnData, seed: int) -> dict[str, float | None]:
    """Score one table; an undefined score is None."""
    decoy = seen.var["decoy"].to_numpy()
    labels = held_out.obs["cell_type"].astype(str).to_numpy()
    scaled = np.log1p(normalize(denoised, norm="l1") * 1e4)
    genes, observed = denoised[:, ~decoy], held_out.X.toarray()
    expected = genes * (observed.sum() / seen.X[:, ~decoy].sum())
    found = {
        "mse": metrics.log_mse(observed, genes),
        "poisson": metrics.poisson_loss(observed, expected),
        "poisson_swapped": metrics.poisson_loss(expected, observed),
        "decoy_correlation": metrics.mean_absolute_correlation(scaled[:, decoy]),
        "decoy_de": np.mean([metrics.de_share(scaled[:, decoy], labels == label) for label in np.unique(labels)]),
    }
    found |= _permuted(scaled[:, ~decoy], labels, seed) | _markers(scaled, labels, seen.var_names)
    return {name: None if np.isnan(value) else float(value) for name, value in found.items()}


def _permuted(scaled: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, float]:
    """Share of genes called different between halves of the largest type: mean and maximum over permutations."""
    rng = np.random.default_rng(seed)
    largest = np.flatnonzero(labels == pd.Series(labels).value_counts().index[0])
    shares = metrics.permuted_de_shares(scaled[rng.permutation(largest)[:MAX_TESTED]], rng)
    return {"permuted_de_mean": shares.mean(), "permuted_de_most": shares.max()}


def _markers(scaled: np.ndarray, labels: np.ndarray, genes: pd.Index) -> dict[str, float]:
    """AUROC of each marker in the data, and their mean."""
    markers = pd.read_csv(MARKERS).groupby("gene", sort=False)["label"].agg(list)
    markers = markers[markers.index.isin(genes)]
    if markers.empty:
        return {}
    positive = np.column_stack([np.isin(labels, own) for own in markers])
    found = metrics.marker_auroc(scaled[:, genes.get_indexer(markers.index)], positive)
    if np.isnan(found).all():
        return {}
    return {"auroc": np.nanmean(found)} | {f"auroc_{gene}": x for gene, x in zip(markers.index, found, strict=True)}
