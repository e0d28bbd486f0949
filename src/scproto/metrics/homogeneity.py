"""Homogeneity of metacells in the expression itself: variance against Poisson noise, and correlation of the cells.

Differences between batches count as heterogeneity here. To leave them out, combine the metacell and the batch of each
cell in ``assignment``: each cell is then compared only with cells of its own batch.
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
"""Number of cells whose correlations with all others are computed at a time."""


def inner_normalized_variance(
    counts: Matrix, assignment: ArrayLike, *, min_total: float = 40, quantile: float = 0.95
) -> NDArray[np.float64]:
    """Variance over mean of the counts within each metacell, at a high quantile over genes. Lower is better.

    The cells of each metacell are scaled to the harmonic mean of their depths. For each gene, the variance (divided by
    n - 1) is then divided by the mean. The expected ratio is 1 for a gene whose counts are Poisson with a single rate.
    The quantile over genes lies somewhat above 1 even for Poisson counts, because the ratio of each gene varies by
    about sqrt(2 / n_cells).

    The score is that of MetaCell-2 (Ben-Kiki et al., Genome Biology 2022) with two changes. MetaCell-2 equalises
    depths by drawing molecules, which loses most of them, and it keeps the ratio of each gene. The 95th percentile over
    genes is that of Bilous et al. (Molecular Systems Biology 2024).

    Parameters
    ----------
    counts
        Counts ``(n_cells, n_genes)``, dense or sparse. Cells without counts are left out.
    assignment
        Metacell of each cell, ``(n_cells,)``.
    min_total
        Minimum number of counts of a gene in the metacell, after scaling. Genes with fewer counts are left out,
        because their ratio is noise. The default is that of MetaCell-2.
    quantile
        Quantile over the genes, in [0, 1].

    Returns
    -------
    values : numpy.ndarray
        Value of each metacell, ``(n_metacells,)``, sorted by name; NaN for a metacell that has fewer than two cells or
        no gene with enough counts.

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

    Parameters and errors are those of :func:`inner_normalized_variance`.

    Returns
    -------
    inv : float
        Median: about 1 for pure Poisson noise, NaN if no metacell can be judged.
    """
    values = inner_normalized_variance(counts, assignment, min_total=min_total, quantile=quantile)
    judged = values[np.isfinite(values)]
    return float(np.median(judged)) if len(judged) else float("nan")


def compactness_correlation(expression: Matrix, assignment: ArrayLike) -> float:
    """Compactness as MetaQ defines it: correlation of the cells within a metacell. Higher is better.

    The Pearson correlation over genes is averaged over all pairs of cells in the metacell, including each cell with
    itself, then over metacells weighted by their number of cells (Li et al., Nature Communications 2025, and its code).
    Because each cell is paired with itself, small metacells score higher, and metacells of one cell score 1: compare
    only partitions into metacells of similar size. SEACells' compactness is a different score:
    :func:`~scproto.metrics.compactness_variance`.

    Parameters
    ----------
    expression
        log1p CP10k, ``(n_cells, n_genes)``, dense or sparse. A cell with the same value in all genes has a correlation
        of 0 with every cell.
    assignment
        Metacell of each cell, ``(n_cells,)``.

    Returns
    -------
    compactness : float
        Mean correlation, in [0, 1].

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
    """Separation as MetaQ defines it: correlation distance to the nearest cell of another metacell. Higher is better.

    The distance is 1 minus the highest Pearson correlation over genes between the cell and a cell of another metacell,
    averaged over cells (Li et al., Nature Communications 2025, and its code). SEACells' separation is a different
    score: :func:`~scproto.metrics.separation_distance`.

    Parameters
    ----------
    expression
        log1p CP10k, ``(n_cells, n_genes)``, dense or sparse.
    assignment
        Metacell of each cell, ``(n_cells,)``.
    max_cells
        Maximum number of cells to average over, because the cost grows with the number of pairs. They are drawn at
        random, and each is compared with all other cells. None takes all cells, as MetaQ does.
    seed
        Seed of the draw.

    Returns
    -------
    separation : float
        Mean distance, in [0, 2]; NaN if there is only one metacell.

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
        Batch of each cell, ``(n_cells,)``. With several batches, ``inv`` and ``dubious_rate`` are also computed
        after each metacell is split by batch.
    seed
        Seed of all draws and permutations.

    Returns
    -------
    scores : dict of str to float
        ``inv``, ``dubious_rate`` (on the 2,000 most variable genes), ``compactness_correlation`` and
        ``separation_correlation``; with several batches also ``inv_within_batch`` and ``dubious_rate_within_batch``.
        Scores that cannot be computed, such as the dubious rate of very small metacells, are left out.

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
    """Variance over mean of each gene with enough counts, ``(n_kept_genes,)``, at the harmonic mean of the depths."""
    from sklearn.utils.sparsefuncs import mean_variance_axis

    n_cells = x.shape[0]
    one_depth = sparse.diags((1 / np.mean(1 / depth)) / depth) @ x
    mean, variance = mean_variance_axis(sparse.csr_matrix(one_depth), axis=0)
    kept = (mean * n_cells >= min_total) & (mean > 0)
    ratios: NDArray[np.float64] = variance[kept] * n_cells / (n_cells - 1) / mean[kept]
    return ratios


def _standardise(x: sparse.csr_matrix) -> tuple[sparse.csr_matrix, NDArray[np.float64]]:
    """Scale each cell so that it has mean 0 and length 1 over genes after its offset is subtracted.

    The offset is kept separately, so that the matrix stays sparse. The correlation of two cells is the product of
    their scaled rows minus ``n_genes`` times the product of their offsets.

    Returns
    -------
    scaled : scipy.sparse.csr_matrix
        Scaled cells, ``(n_cells, n_genes)``.
    offset : numpy.ndarray
        Offset of each cell, ``(n_cells,)``.
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
