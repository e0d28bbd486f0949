"""Scores of denoised expression: arrays in, floats out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

LIBRARY_SIZE = 1e4
"""Counts that a cell is scaled to."""

PSEUDOCOUNT = 1e-6
"""Added before the logarithm of the Poisson loss."""


def log_mse(held_out: ArrayLike, denoised: ArrayLike) -> float:
    """Mean squared error after scaling each cell to 10,000 and log1p, as in Open Problems.

    The logarithm of few counts is not a fair scale for means: the value that minimises this error is the mean of the
    logarithms of sparse counts, which is far below the logarithm of their mean.

    Parameters
    ----------
    held_out
        Counts, ``(n_cells, n_genes)``.
    denoised
        Values of at least zero, ``(n_cells, n_genes)``. Their scale does not matter; a cell without any stays zero.

    Returns
    -------
    Mean over cells and genes.
    """
    from sklearn.metrics import mean_squared_error
    from sklearn.preprocessing import normalize

    scaled = [np.log1p(normalize(np.asarray(x, np.float64), norm="l1") * LIBRARY_SIZE) for x in (held_out, denoised)]
    return float(mean_squared_error(*scaled))


def poisson_loss(observed: ArrayLike, expected: ArrayLike) -> float:
    """Poisson negative log-likelihood without the factorial, mean over all entries, in nats.

    Parameters
    ----------
    observed
        Counts, ``(n_cells, n_genes)``.
    expected
        Expected counts, of at least zero, ``(n_cells, n_genes)``. 1e-6 is added in the logarithm.

    Notes
    -----
    Open Problems' first script had the two arguments exchanged, which rewards values near zero; to compare with its
    figures, exchange them here.
    """
    observed, expected = np.asarray(observed, np.float64), np.asarray(expected, np.float64)
    return float((expected - observed * np.log(expected + PSEUDOCOUNT)).mean())


def marker_auroc(expression: ArrayLike, positive: ArrayLike) -> NDArray[np.float64]:
    """How well each marker gene tells the cells that should have it from the others.

    Parameters
    ----------
    expression
        Of the markers, ``(n_cells, n_markers)``.
    positive
        Which cells should have each marker, boolean ``(n_cells, n_markers)``.

    Returns
    -------
    Area under the ROC curve of each marker, ``(n_markers,)``; NaN where all cells or none should have it.
    """
    from sklearn.metrics import roc_auc_score

    expression, positive = np.asarray(expression), np.asarray(positive, bool)
    return np.array(
        [
            roc_auc_score(truth, values) if 0 < truth.sum() < len(truth) else np.nan
            for values, truth in zip(expression.T, positive.T, strict=True)
        ],
        dtype=float,
    )


def mean_absolute_correlation(expression: ArrayLike) -> float:
    """Mean absolute Pearson correlation over all pairs of genes, for genes that are known to be independent.

    Parameters
    ----------
    expression
        ``(n_cells, n_genes)``.

    Returns
    -------
    In [0, 1]. Genes that do not vary are left out; NaN with fewer than two that do.
    """
    expression = np.asarray(expression, np.float64)
    varying = expression[:, np.ptp(expression, axis=0) > 0] if len(expression) else expression[:, :0]
    if varying.shape[1] < 2:
        return float("nan")
    correlation = np.corrcoef(varying, rowvar=False)
    return float(np.abs(correlation[np.triu_indices_from(correlation, 1)]).mean())


def de_share(expression: ArrayLike, group: ArrayLike, *, alpha: float = 0.05) -> float:
    """Share of genes that a Mann-Whitney test calls different between two groups of cells.

    Where no gene differs, a share above ``alpha`` is a sign of false discoveries.

    Parameters
    ----------
    expression
        ``(n_cells, n_genes)``.
    group
        Which cells are in the first group, boolean ``(n_cells,)``.
    alpha
        Level of the test, without correction for many genes.

    Returns
    -------
    In [0, 1]; a gene that does not vary counts as not different. NaN if a group is empty.
    """
    from scipy.stats import mannwhitneyu

    expression, group = np.asarray(expression), np.asarray(group, bool)
    if group.all() or not group.any():
        return float("nan")
    varies = np.ptp(expression, axis=0) > 0
    if not varies.any():
        return 0.0
    tested = expression[:, varies]
    p = mannwhitneyu(tested[group], tested[~group], axis=0, method="asymptotic").pvalue
    return float((p < alpha).sum() / len(varies))


def permuted_de_shares(
    expression: ArrayLike, rng: np.random.Generator, *, n_permutations: int = 20, alpha: float = 0.05
) -> NDArray[np.float64]:
    """Share of genes called different between two random halves of cells of one kind.

    Random halves can differ by chance only, so that the mean over many permutations is ``alpha`` with any denoising.
    Over-smoothing changes the spread: where genes follow each other, they are called different all at once.

    Parameters
    ----------
    expression
        Of cells of one kind, ``(n_cells, n_genes)``.
    rng
        Draws the halves.
    n_permutations
        Times that halves are drawn.
    alpha
        Level of the test.

    Returns
    -------
    One share for each permutation, ``(n_permutations,)``.
    """
    expression = np.asarray(expression)
    first = np.arange(len(expression)) < len(expression) // 2
    return np.array([de_share(expression, rng.permutation(first), alpha=alpha) for _ in range(n_permutations)])
