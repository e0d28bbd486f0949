"""Scores of denoised expression: arrays in, floats out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

LIBRARY_SIZE = 1e4
"""Total to which each cell is scaled."""

PSEUDOCOUNT = 1e-6
"""Added to the expected counts before the Poisson loss takes their logarithm."""


def log_mse(held_out: ArrayLike, denoised: ArrayLike) -> float:
    """Mean squared error after scaling each cell to 10,000 and taking log1p, as in Open Problems.

    The logarithm does not compare means fairly where counts are few: the value that minimises this error is the mean
    of the logarithms of sparse counts, which is far below the logarithm of their mean.

    Parameters
    ----------
    held_out
        Counts, ``(n_cells, n_genes)``.
    denoised
        Non-negative values, ``(n_cells, n_genes)``. Their scale does not matter. A cell of zeros stays zero.

    Returns
    -------
    error : float
        Mean over cells and genes.
    """
    from sklearn.metrics import mean_squared_error
    from sklearn.preprocessing import normalize

    scaled = [np.log1p(normalize(np.asarray(x, np.float64), norm="l1") * LIBRARY_SIZE) for x in (held_out, denoised)]
    return float(mean_squared_error(*scaled))


def poisson_loss(observed: ArrayLike, expected: ArrayLike) -> float:
    """Negative Poisson log-likelihood without the factorial term.

    Parameters
    ----------
    observed
        Counts, ``(n_cells, n_genes)``.
    expected
        Non-negative expected counts, ``(n_cells, n_genes)``. 1e-6 is added before the logarithm.

    Returns
    -------
    loss : float
        Mean over all entries, in nats.

    Notes
    -----
    The first script of Open Problems swapped the two arguments, which rewards values near zero. Swap them here, too,
    to compare with its figures.
    """
    observed, expected = np.asarray(observed, np.float64), np.asarray(expected, np.float64)
    return float((expected - observed * np.log(expected + PSEUDOCOUNT)).mean())


def marker_auroc(expression: ArrayLike, positive: ArrayLike) -> NDArray[np.float64]:
    """How well each marker gene distinguishes the cells that should express it from the others.

    Parameters
    ----------
    expression
        Expression of the markers, ``(n_cells, n_markers)``.
    positive
        Whether each cell should express each marker, boolean ``(n_cells, n_markers)``.

    Returns
    -------
    auroc : numpy.ndarray
        Area under the ROC curve of each marker, ``(n_markers,)``; NaN where all cells or none should express it.
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
        Expression of these genes, ``(n_cells, n_genes)``.

    Returns
    -------
    correlation : float
        Mean in [0, 1]. Genes that do not vary are left out; NaN if fewer than two vary.
    """
    expression = np.asarray(expression, np.float64)
    varying = expression[:, np.ptp(expression, axis=0) > 0] if len(expression) else expression[:, :0]
    if varying.shape[1] < 2:
        return float("nan")
    correlation = np.corrcoef(varying, rowvar=False)
    return float(np.abs(correlation[np.triu_indices_from(correlation, 1)]).mean())


def de_share(expression: ArrayLike, group: ArrayLike, *, alpha: float = 0.05) -> float:
    """Share of genes that a Mann-Whitney test calls different between two groups of cells.

    If no gene truly differs, a share above ``alpha`` indicates false discoveries.

    Parameters
    ----------
    expression
        Expression of the genes to test, ``(n_cells, n_genes)``.
    group
        Whether each cell is in the first group, boolean ``(n_cells,)``.
    alpha
        Significance level, without correction for multiple testing.

    Returns
    -------
    share : float
        Share in [0, 1], where a gene that does not vary counts as not different; NaN if a group is empty.
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
    """Share of genes called different between random halves of cells of one kind.

    Random halves differ only by chance, so the mean over many permutations is ``alpha`` whatever the denoising.
    Over-smoothing changes the spread: genes that follow each other are called different all at once.

    Parameters
    ----------
    expression
        Expression of cells of one kind, ``(n_cells, n_genes)``.
    rng
        Random generator that draws the halves.
    n_permutations
        Number of times that halves are drawn.
    alpha
        Significance level.

    Returns
    -------
    shares : numpy.ndarray
        Share of each permutation, ``(n_permutations,)``.
    """
    expression = np.asarray(expression)
    first = np.arange(len(expression)) < len(expression) // 2
    return np.array([de_share(expression, rng.permutation(first), alpha=alpha) for _ in range(n_permutations)])
