"""Homogeneity of metacells in the expression itself: variance against Poisson noise, and correlation of the cells.

Differences between batches count as heterogeneity here. To leave them out, give as ``assignment`` the metacell and the
batch of each cell together: then cells are compared with those of their own batch only.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from .._arguments import check_seed
from .groups import finite_scores, gene_matrix, group_codes, membership

Matrix: TypeAlias = ArrayLike | sparse.spmatrix | sparse.sparray

BLOCK = 256
"""Cells whose correlations with all others are computed at a time."""


def inner_normalized_variance(
    counts: Matrix, assignment: ArrayLike, *, min_total: float = 40, quantile: float = 0.95
) -> NDArray[np.float64]:
    """Variance over mean of the counts inside each metacell, at a high quantile over genes. Lower is better.

    In each metacell the cells are brought to one depth, the harmonic mean of their depths: with it the expected ratio
    is 1 for each gene whose counts are Poisson with one rate. Then, for each gene, the variance (divided by n - 1) is
    divided by the mean. The quantile over genes lies somewhat above 1 even for Poisson counts, as the ratio of each
    gene scatters by about sqrt(2 / n_cells).

    From MetaCell-2 (Ben-Kiki et al., Genome Biology 2022) with two changes: there the cells are brought to one depth
    by drawing molecules, which loses most of them, and the ratio of each gene is kept; the 95th percentile over genes
    is that of Bilous et al. (Molecular Systems Biology 2024).

    Parameters
    ----------
    counts
        Counts ``(n_cells, n_genes)``, dense or sparse. Cells without counts are left out.
    assignment
        Metacell of each cell, ``(n_cells,)``.
    min_total
        Genes with fewer counts than this in the metacell, after bringing to one depth, are left out: their ratio is
        noise. The default is that of MetaCell-2.
    quantile
        Quantile over the genes, in [0, 1].

    Returns
    -------
    One value a metacell, ``(n_metacells,)``, sorted by name; NaN for a metacell with fewer than two cells or without a
    gene of enough counts.

    Raises
    ------
    InputError
        If the shapes do not match, a metacell is missing, or values are negative or not finite.
    """
    x = gene_matrix(counts)
    codes, names = group_codes(assignment, x.shape[0], "metacell")
    depth = np.asarray(x.sum(axis=1)).ravel()
    values = np.full(len(names), np.nan)
    for metacell in range(len(names)):
        cells = np.flatnonzero((codes == metacell) & (depth > 0))
        if len(cells) > 1:
            ratios = _variance_over_mean(x[cells], depth[cells], min_total)
            values[metacell] = np.quantile(ratios, quantile) if len(ratios) else np.nan
    return values


def inv(counts: Matrix, assignment: ArrayLike, *, min_total: float = 40, quantile: float = 0.95) -> float:
    """Inner normalised variance: the median of :func:`inner_normalized_variance` over metacells. Lower is better.

    About 1 is Poisson noise and nothing else; parameters and errors are the same. NaN if no metacell can be judged.
    """
    values = inner_normalized_variance(counts, assignment, min_total=min_total, quantile=quantile)
    judged = values[np.isfinite(values)]
    return float(np.median(judged)) if len(judged) else float("nan")


def compactness_correlation(expression: Matrix, assignment: ArrayLike) -> float:
    """Compactness as MetaQ defines it: correlation of the cells inside a metacell; higher is better.

    The Pearson correlation over genes of every pair of cells in the metacell, each cell with itself too, averaged over
    the pairs, then over metacells weighted by their cells (Li et al., Nature Communications 2025, and its code).
    Because of the pairs with itself, small metacells score higher, and metacells of one cell score 1: compare only
    partitions of like size. SEACells' compactness is another score:
    :func:`~scproto.metrics.compactness_variance`.

    Parameters
    ----------
    expression
        log1p CP10k, ``(n_cells, n_genes)``, dense or sparse. A cell with the same value in all genes correlates with
        nothing (0).
    assignment
        Metacell of each cell, ``(n_cells,)``.

    Returns
    -------
    The mean correlation, in [0, 1].

    Raises
    ------
    InputError
        If the shapes do not match, a metacell is missing, or values are negative or not finite.
    """
    x = gene_matrix(expression)
    codes, _ = group_codes(assignment, x.shape[0], "metacell")
    scaled, offset = _standardise(x)
    groups = membership(codes)
    # The mean over all pairs of z_i . z_j is the squared length of the mean of the standardised cells z.
    total, shift = groups @ scaled, groups @ offset
    sizes = np.bincount(codes)
    mean_of_pairs = (_row_squares(total) - x.shape[1] * shift**2) / sizes**2
    return float(np.average(mean_of_pairs, weights=sizes))


def separation_correlation(
    expression: Matrix, assignment: ArrayLike, *, max_cells: int | None = 1000, seed: int = 0
) -> float:
    """Separation as MetaQ defines it: how unlike the most alike cell of another metacell is; higher is better.

    For each cell 1 minus the highest Pearson correlation over genes with a cell of another metacell, averaged over
    cells (Li et al., Nature Communications 2025, and its code). SEACells' separation is another score:
    :func:`~scproto.metrics.separation_distance`.

    Parameters
    ----------
    expression
        log1p CP10k, ``(n_cells, n_genes)``, dense or sparse.
    assignment
        Metacell of each cell, ``(n_cells,)``.
    max_cells
        The average is over at most so many cells, drawn at random, each compared with all others: the cost grows with
        the number of pairs. With None all cells are taken, as in MetaQ.
    seed
        Of the draw.

    Returns
    -------
    The mean, in [0, 2]; NaN if there is one metacell only.

    Raises
    ------
    InputError
        If the shapes do not match, a metacell is missing, or values are negative or not finite.
    """
    seed = check_seed(seed)
    x = gene_matrix(expression)
    codes, names = group_codes(assignment, x.shape[0], "metacell")
    if len(names) < 2:
        return float("nan")
    scaled, offset = _standardise(x)
    drawn = np.sort(np.random.default_rng(seed).permutation(len(codes))[:max_cells])
    nearest = np.empty(len(drawn))
    for start in range(0, len(drawn), BLOCK):
        block = drawn[start : start + BLOCK]
        correlation = scaled @ scaled[block].toarray().T - x.shape[1] * np.outer(offset, offset[block])
        correlation[codes[:, None] == codes[block]] = -np.inf
        nearest[start : start + BLOCK] = correlation.max(axis=0)
    return float(1 - nearest.mean())


def homogeneity_scores(
    counts: Matrix, assignment: ArrayLike, batches: ArrayLike | None = None, *, seed: int = 0
) -> dict[str, float]:
    """Score how homogeneous metacells are in the counts.

    Parameters
    ----------
    counts
        Counts ``(n_cells, n_genes)``, dense or sparse.
    assignment
        Metacell of each cell, ``(n_cells,)``.
    batches
        Batch of each cell, ``(n_cells,)``. With several batches, ``inv`` and ``dubious_rate`` are also computed on
        the parts of the metacells within each batch.
    seed
        Of all draws and permutations.

    Returns
    -------
    ``inv``, ``dubious_rate`` (on the 2,000 most variable genes), ``compactness_correlation`` and
    ``separation_correlation``; with several batches also ``inv_within_batch`` and ``dubious_rate_within_batch``. Scores
    that cannot be computed, such as the dubious rate of very small metacells, are left out.

    Raises
    ------
    InputError
        If the shapes do not match, a value is missing, or values are negative or not finite.
    """
    seed = check_seed(seed)
    from .expression import log1p_cp10k, variable_genes
    from .mcrigor import dubious_rate

    x = gene_matrix(counts)
    expression = log1p_cp10k(x)
    variable = expression[:, variable_genes(expression)]
    codes, _ = group_codes(assignment, x.shape[0], "metacell")
    scores = {"inv": inv(x, codes), "dubious_rate": dubious_rate(variable, codes, seed=seed)}
    if batches is not None:
        batch_codes, names = group_codes(batches, x.shape[0], "batch")
        if len(names) > 1:
            parts = codes * len(names) + batch_codes
            scores["inv_within_batch"] = inv(x, parts)
            scores["dubious_rate_within_batch"] = dubious_rate(variable, parts, seed=seed)
    scores["compactness_correlation"] = compactness_correlation(expression, codes)
    scores["separation_correlation"] = separation_correlation(expression, codes, seed=seed)
    return finite_scores(scores)


def _variance_over_mean(x: sparse.csr_matrix, depth: NDArray[np.float64], min_total: float) -> NDArray[np.float64]:
    """Variance over mean of the genes with enough counts, ``(n_kept_genes,)``, at the harmonic mean depth."""
    from sklearn.utils.sparsefuncs import mean_variance_axis

    n_cells = x.shape[0]
    one_depth = sparse.diags((1 / np.mean(1 / depth)) / depth) @ x
    mean, variance = mean_variance_axis(sparse.csr_matrix(one_depth), axis=0)
    kept = (mean * n_cells >= min_total) & (mean > 0)
    ratios: NDArray[np.float64] = variance[kept] * n_cells / (n_cells - 1) / mean[kept]
    return ratios


def _standardise(x: sparse.csr_matrix) -> tuple[sparse.csr_matrix, NDArray[np.float64]]:
    """Scale each cell so that, less its offset, it has mean 0 and length 1 over genes; the matrix stays sparse.

    Returns the scaled cells ``(n_cells, n_genes)`` and the offsets ``(n_cells,)``. The correlation of two cells is
    the product of their scaled rows minus ``n_genes`` times the product of their offsets.
    """
    n_genes = x.shape[1]
    mean = np.asarray(x.sum(axis=1)).ravel() / n_genes
    squares = _row_squares(x)
    length = np.sqrt(np.maximum(squares - n_genes * mean**2, 0))
    varies = length > 1e-6 * np.sqrt(squares)
    scale = np.divide(1.0, length, out=np.zeros_like(length), where=varies)
    return sparse.csr_matrix(sparse.diags(scale) @ x), scale * mean


def _row_squares(x: sparse.csr_matrix) -> NDArray[np.float64]:
    return np.asarray(x.multiply(x).sum(axis=1)).ravel()
