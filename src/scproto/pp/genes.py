"""Select the genes that vary most, as scanpy ranks them within the batches."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from .. import _scanpy

logger = logging.getLogger(__name__)

ROUNDING = 1e-5
"""A gene varies if its standard deviation of log1p CP10k exceeds this; rounding in single precision leaves 1e-6."""


def most_variable(x: sp.csr_matrix, batch: pd.Categorical, n_top_genes: int) -> NDArray[np.bool_]:
    """Select highly variable genes, ranked within the batches and then by the number of batches that agree.

    The genes are those of :func:`scanpy.pp.highly_variable_genes`, which fails if no gene stands out in a batch.
    Here, such a batch does not count. If no gene stands out in any batch, the genes are ranked over all cells.

    Parameters
    ----------
    x
        log1p CP10k, ``(n_cells, n_genes)``.
    batch
        Batch of each cell, ``(n_cells,)``.
    n_top_genes
        Number of genes to select, at most the number of genes that vary.

    Returns
    -------
    selected : numpy.ndarray
        Mask of the genes, ``(n_genes,)``. It has more than `n_top_genes` genes if genes ranked over all cells are tied.
    """
    from sklearn.utils.sparsefuncs import mean_variance_axis

    within = _rank_within(x, batch, n_top_genes) if len(batch.categories) > 1 else []
    if within:
        return _agreed(within, n_top_genes)
    over_all = _dispersion(x)
    if np.isfinite(over_all).any():
        return _highest(over_all, n_top_genes).to_numpy()
    logger.info("No gene stands out from others of its abundance, so the genes with the highest variance are selected.")
    order = np.argsort(-mean_variance_axis(x, axis=0)[1], kind="stable")
    return np.isin(np.arange(len(order)), order[:n_top_genes])


def _rank_within(x: sp.csr_matrix, batch: pd.Categorical, n_top_genes: int) -> list[pd.DataFrame]:
    """Return one table per batch: the dispersion of each gene, and whether it is among the highest there.

    A batch in which no gene stands out has no table: its cells are too similar, or they are few and have few counts.
    """
    from sklearn.utils.sparsefuncs import mean_variance_axis

    tables, silent = [], []
    names = pd.RangeIndex(x.shape[1]).astype(str)
    for b, name in enumerate(batch.categories):
        cells = x[batch.codes == b]
        mean, variance = mean_variance_axis(cells, axis=0)
        dispersion = _dispersion(cells, mean > 0)
        if variance.max() <= ROUNDING**2 or not np.isfinite(dispersion).any():
            silent.append(str(name))
            continue
        top = _highest(dispersion, n_top_genes).astype(int)
        table = pd.DataFrame({"top": top, "dispersion": dispersion})
        tables.append(table.reindex(names, fill_value=0))  # genes without counts
    if silent:
        logger.info(
            "%d of %d batches (such as %r) do not count in the selection of genes, because their cells are too similar "
            "or have too few counts: the genes are ranked %s.",
            *(len(silent), len(batch.categories), silent[0]),
            "within the other batches" if tables else "over all cells",
        )
    return tables


def _dispersion(x: sp.csr_matrix, genes: NDArray[np.bool_] | None = None) -> pd.Series:
    """Return scanpy's normalised dispersion: NaN or, by rounding, infinite if all genes of a bin are equal."""
    names = pd.RangeIndex(x.shape[1]).astype(str)
    if genes is not None:
        x, names = x[:, genes], names[genes]
    return _scanpy.normalised_dispersion(x, names)


def _highest(dispersion: pd.Series, n: int) -> pd.Series:
    """Whether each gene has one of the `n` highest dispersions, ties included."""
    known = np.sort(dispersion.dropna())
    return dispersion.fillna(-np.inf) >= known[-min(n, len(known))]


def _agreed(within: list[pd.DataFrame], n: int) -> NDArray[np.bool_]:
    """Mask of the `n` genes on top in the most batches; ties go to the highest mean dispersion, as in scanpy."""
    table = pd.concat(within).groupby(level=0).agg({"top": "sum", "dispersion": "mean"})
    order = table.sort_values(["top", "dispersion"], ascending=False)
    return within[0].index.isin(order.index[:n])
