"""Which genes vary most, as scanpy ranks them within the batches."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from .. import _scanpy

logger = logging.getLogger(__name__)

ROUNDING = 1e-5
"""Standard deviation of log1p CP10k up to which a gene does not vary: single precision leaves 1e-6."""


def most_variable(x: sp.csr_matrix, batch: pd.Categorical, n_top_genes: int) -> NDArray[np.bool_]:
    """Mask of the most variable genes, ranked within the batches and then by the number of batches that agree.

    They are those of :func:`scanpy.pp.highly_variable_genes`, which fails where a batch has no gene that stands out.
    Such a batch has no say; if no batch has one, the genes are ranked over all cells.

    Parameters
    ----------
    x
        log1p CP10k, ``(n_cells, n_genes)``.
    batch
        Batch of each cell, ``(n_cells,)``.
    n_top_genes
        Genes to choose, at most those that vary.

    Returns
    -------
    ``(n_genes,)``; some more than asked for where genes are tied over all cells.
    """
    from sklearn.utils.sparsefuncs import mean_variance_axis

    within = _rank_within(x, batch, n_top_genes) if len(batch.categories) > 1 else []
    if within:
        return _agreed(within, n_top_genes)
    over_all = _dispersion(x)
    if np.isfinite(over_all).any():
        return _highest(over_all, n_top_genes).to_numpy()
    logger.info("No gene stands out from others of its abundance: the genes of the greatest variance are taken.")
    order = np.argsort(-mean_variance_axis(x, axis=0)[1], kind="stable")
    return np.isin(np.arange(len(order)), order[:n_top_genes])


def _rank_within(x: sp.csr_matrix, batch: pd.Categorical, n_top_genes: int) -> list[pd.DataFrame]:
    """Dispersion of the genes within each batch, and whether it is among the highest there.

    A batch has no say where no gene stands out: its cells are alike, or few with hardly a count each.
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
        tables.append(table.reindex(names, fill_value=0))  # genes without a count
    if silent:
        logger.info(
            "%d of %d batches (such as %r) do not tell which genes are variable, as their cells are alike or have too "
            "few counts: the genes are ranked within %s.",
            *(len(silent), len(batch.categories), silent[0]),
            "the other batches" if tables else "all cells together",
        )
    return tables


def _dispersion(x: sp.csr_matrix, genes: NDArray[np.bool_] | None = None) -> pd.Series:
    """Dispersion of some genes, as scanpy normalises it: NaN or, by rounding, infinite where all of a bin are alike."""
    names = pd.RangeIndex(x.shape[1]).astype(str)
    if genes is not None:
        x, names = x[:, genes], names[genes]
    return _scanpy.normalised_dispersion(x, names)


def _highest(dispersion: pd.Series, n: int) -> pd.Series:
    """Whether each gene has one of the `n` highest dispersions, or the same as the last of these."""
    known = np.sort(dispersion.dropna())
    return dispersion.fillna(-np.inf) >= known[-min(n, len(known))]


def _agreed(within: list[pd.DataFrame], n: int) -> NDArray[np.bool_]:
    """Mask of the `n` genes that are on top in most batches, then of the highest mean dispersion, as scanpy has it."""
    table = pd.concat(within).groupby(level=0).agg({"top": "sum", "dispersion": "mean"})
    order = table.sort_values(["top", "dispersion"], ascending=False)
    return within[0].index.isin(order.index[:n])
