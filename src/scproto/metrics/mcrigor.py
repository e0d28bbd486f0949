"""mcRigor's dubious metacells (Liu & Li, Nature Communications 2025): metacells in which genes co-vary.

In a homogeneous metacell, genes vary only by independent noise. The divergence (mcDiv) compares the correlation matrix
of the genes with that of the same values shuffled within each gene. The null first shuffles the values of each cell
across genes, so that the depth of the cells remains as the only cause of correlation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from .._arguments import check_seed
from .._errors import InputError
from .groups import gene_matrix, group_codes

MIN_DETECTED = 0.1
"""A metacell uses only the genes that more than this share of its cells express, as in mcRigor."""

WINDOW = 1 / 6
"""Share of the metacells, those nearest in size, that set a threshold; mcRigor's bandwidth."""


@dataclass(frozen=True)
class Divergences:
    """Divergence and nulls of each metacell that was judged."""

    names: NDArray[Any]
    """Names of the metacells, ``(n_judged,)``, sorted."""
    sizes: NDArray[np.int64]
    """Number of cells, ``(n_judged,)``."""
    observed: NDArray[np.float64]
    """mcDiv, ``(n_judged,)``: about 1 if the genes vary independently, more if they co-vary."""
    null: NDArray[np.float64]
    """mcDiv after the values of each cell are shuffled across genes, ``(n_judged, n_permutations)``."""


def distance_from_identity(z: NDArray[np.floating]) -> float:
    """Frobenius norm of the covariance of the columns minus the identity.

    Parameters
    ----------
    z
        Cells by genes, ``(n_cells, n_genes)``, at least two cells. If the genes are standardised, their covariance is
        their correlation matrix.

    Returns
    -------
    distance : float
        Norm, at least 0. It is computed from the table of products ``(n_cells, n_cells)``, which is small.
    """
    z = np.asarray(z, dtype=np.float64)
    z = z - z.mean(axis=0)
    products = z @ z.T / (len(z) - 1)
    square = (products**2).sum() - 2 * np.trace(products) + z.shape[1]
    return float(np.sqrt(max(square, 0.0)))


def metacell_divergence(
    expression: ArrayLike | sparse.spmatrix | sparse.sparray,
    assignment: ArrayLike,
    *,
    n_permutations: int = 10,
    min_cells: int = 10,
    max_metacells: int | None = 200,
    seed: int = 0,
) -> Divergences:
    """Divergence of each metacell from independence of its genes, and its double-permutation nulls.

    Parameters
    ----------
    expression
        log1p CP10k of the highly variable genes (mcRigor: 2,000), ``(n_cells, n_genes)``, dense or sparse. Each
        metacell uses the genes that vary in it and that more than a tenth of its cells express.
    assignment
        Metacell of each cell, ``(n_cells,)``.
    n_permutations
        Number of nulls per metacell; mcRigor draws 50 to detect and 1 to optimise. Few are enough, because metacells
        of similar size share them.
    min_cells
        Minimum number of cells for a metacell to be judged. With fewer cells, no correlation differs from chance.
        mcRigor judges all metacells of two cells or more.
    max_metacells
        Maximum number of metacells to judge, drawn at random. None judges all.
    seed
        Seed of the draw and the permutations.

    Returns
    -------
    divergences : Divergences
        Divergence and nulls of each judged metacell. Metacells with fewer than two usable genes are left out.

    Raises
    ------
    InputError
        If the shapes do not match, a metacell is missing, values are negative or not finite, or ``min_cells`` or
        ``n_permutations`` is too small.
    """
    seed = check_seed(seed)
    if min_cells < 2 or n_permutations < 1:
        raise InputError(f"min_cells is {min_cells} and n_permutations is {n_permutations}: give at least 2 and 1.")
    x = gene_matrix(expression)
    codes, names = group_codes(assignment, x.shape[0], "metacell")
    sizes = np.bincount(codes)
    rng = np.random.default_rng(seed)
    judged = np.sort(rng.permutation(np.flatnonzero(sizes >= min_cells))[:max_metacells])
    observed, null = np.full(len(judged), np.nan), np.full((len(judged), n_permutations), np.nan)
    for row, metacell in enumerate(judged):
        z = _standardised_genes(x[codes == metacell].toarray())
        if z.shape[1] > 1:
            observed[row] = _divergence(z, rng)
            null[row] = [_divergence(rng.permuted(z, axis=1), rng) for _ in range(n_permutations)]
    told = np.isfinite(observed) & np.isfinite(null).all(axis=1)
    return Divergences(names[judged][told], sizes[judged][told], observed[told], null[told])


def dubious_metacells(divergences: Divergences, *, level: float = 0.01) -> NDArray[np.bool_]:
    """Whether each metacell diverges more than the nulls of metacells of similar size.

    The threshold of a metacell is the ``1 - level`` quantile of the nulls of the metacells nearest to it in size. These
    are a sixth of all metacells, or more if needed for ``1 / level`` nulls. mcRigor instead takes the quantile at each
    size and smooths it over the sizes by lowess with a bandwidth of a sixth. No smoother is needed here, and few
    metacells are enough.

    Parameters
    ----------
    divergences
        Result of :func:`metacell_divergence`.
    level
        Expected share of homogeneous metacells that are called dubious. The default is that of mcRigor.

    Returns
    -------
    dubious : numpy.ndarray
        Boolean, ``(n_judged,)``.
    """
    n_judged, n_permutations = divergences.null.shape
    width = min(n_judged, max(int(np.ceil(WINDOW * n_judged)), int(np.ceil(1 / level / n_permutations))))
    dubious = np.zeros(n_judged, dtype=bool)
    for row, size in enumerate(divergences.sizes):
        near = np.argsort(np.abs(divergences.sizes - size), kind="stable")[:width]
        dubious[row] = divergences.observed[row] > np.quantile(divergences.null[near], 1 - level)
    return dubious


def dubious_rate(
    expression: ArrayLike | sparse.spmatrix | sparse.sparray,
    assignment: ArrayLike,
    *,
    n_permutations: int = 10,
    min_cells: int = 10,
    max_metacells: int | None = 200,
    level: float = 0.01,
    seed: int = 0,
) -> float:
    """Share of the cells of judged metacells that are in dubious ones. Lower is better.

    Parameters and errors are those of :func:`metacell_divergence` and :func:`dubious_metacells`, which also say what
    differs from mcRigor. Large metacells are more easily found dubious than small ones: compare only partitions into
    metacells of similar size. Differences between batches count as heterogeneity; see
    :mod:`scproto.metrics.homogeneity`.

    Returns
    -------
    rate : float
        Share in [0, 1]; NaN if no metacell can be judged.
    """
    seed = check_seed(seed)
    divergences = metacell_divergence(
        expression,
        assignment,
        n_permutations=n_permutations,
        min_cells=min_cells,
        max_metacells=max_metacells,
        seed=seed,
    )
    if not len(divergences.sizes):
        return float("nan")
    return float(np.average(dubious_metacells(divergences, level=level), weights=divergences.sizes))


def _standardised_genes(x: NDArray[np.float64]) -> NDArray[np.float32]:
    """Genes that vary and that enough cells express, ``(n_cells, n_kept)``, with mean 0 and variance 1 (n - 1)."""
    x = x[:, (x > 0).mean(axis=0) > MIN_DETECTED]
    deviation = x.std(axis=0, ddof=1)
    varies = deviation > 1e-9
    standardised: NDArray[np.float64] = (x[:, varies] - x[:, varies].mean(axis=0)) / deviation[varies]
    return standardised.astype(np.float32)  # shuffling takes half the memory


def _divergence(z: NDArray[np.float32], rng: np.random.Generator) -> float:
    """mcDiv: distance of the correlation matrix from the identity, divided by that after each gene is shuffled."""
    return distance_from_identity(z) / distance_from_identity(rng.permuted(z, axis=0))
