"""mcRigor's dubious metacells (Liu & Li, Nature Communications 2025): metacells in which genes co-vary.

In a homogeneous metacell the genes vary by independent noise. The divergence (mcDiv) compares the correlation matrix
of the genes with that of the same values shuffled within each gene. The null adds a second shuffle: the values of each
cell are shuffled over genes first, which leaves the depth of the cells as the only cause of correlation.
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
"""Genes seen in no more than this share of a metacell's cells are left out there, as in mcRigor."""

WINDOW = 1 / 6
"""Share of the metacells, those nearest in size, that a threshold rests on; mcRigor's bandwidth."""


@dataclass(frozen=True)
class Divergences:
    """Divergence of each metacell that was judged, and its nulls."""

    names: NDArray[Any]
    """Names of the metacells, ``(n_judged,)``, sorted."""
    sizes: NDArray[np.int64]
    """Number of cells, ``(n_judged,)``."""
    observed: NDArray[np.float64]
    """mcDiv, ``(n_judged,)``: about 1 if the genes vary independently, more if they co-vary."""
    null: NDArray[np.float64]
    """mcDiv after the values of each cell were shuffled over genes, ``(n_judged, n_permutations)``."""


def distance_from_identity(z: NDArray[np.floating]) -> float:
    """Frobenius norm of the covariance of the columns minus the identity.

    Parameters
    ----------
    z
        Cells by genes, ``(n_cells, n_genes)``, at least two cells; of standardised genes the covariance is their
        correlation matrix.

    Returns
    -------
    The norm, at least 0. It is computed from the ``(n_cells, n_cells)`` table of products, which is small.
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
    """Divergence of each metacell from independent genes, and its double-permutation nulls.

    Parameters
    ----------
    expression
        log1p CP10k of the highly variable genes (mcRigor: 2,000), ``(n_cells, n_genes)``, dense or sparse. In a
        metacell the genes count that vary and that more than a tenth of its cells have.
    assignment
        Metacell of each cell, ``(n_cells,)``.
    n_permutations
        Nulls of each metacell; mcRigor draws 50 to detect and 1 to optimise. Nulls are shared by metacells of like
        size, so that few are enough.
    min_cells
        Metacells with fewer cells are not judged: among so few cells no correlation differs from chance. mcRigor
        judges all of two cells or more.
    max_metacells
        At most so many metacells are judged, drawn at random; with None, all.
    seed
        Of the draw and the permutations.

    Raises
    ------
    InputError
        If the shapes do not match, a metacell is missing, values are negative or not finite, or ``min_cells`` or
        ``n_permutations`` is too small.
    """
    seed = check_seed(seed)
    if min_cells < 2 or n_permutations < 1:
        raise InputError(f"min_cells is {min_cells} and n_permutations {n_permutations}: give at least 2 and 1.")
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
    """Which metacells diverge more than the nulls of metacells of like size.

    The threshold of a metacell is the ``1 - level`` quantile of the nulls of the metacells nearest to it in size: a
    sixth of all, and enough for ``1 / level`` nulls. mcRigor takes the quantile at each size and smooths it over the
    sizes by lowess with a bandwidth of a sixth; this needs no smoother, and the same few metacells serve.

    Parameters
    ----------
    divergences
        From :func:`metacell_divergence`.
    level
        Share of homogeneous metacells that are called dubious; mcRigor's default.

    Returns
    -------
    ``(n_judged,)``.
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
    """Share of the cells in dubious metacells, of the cells in judged ones; lower is better.

    Parameters and errors are those of :func:`metacell_divergence` and :func:`dubious_metacells`, where it is said what
    differs from mcRigor. Large metacells are found dubious more easily than small ones: compare partitions of like
    size. Differences between batches count as heterogeneity; see :mod:`scproto.metrics.homogeneity`.

    Returns
    -------
    The share in [0, 1]; NaN if no metacell can be judged.
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
    """Genes that enough cells have and that vary, each with mean 0 and variance 1 (n - 1), ``(n_cells, n_kept)``."""
    x = x[:, (x > 0).mean(axis=0) > MIN_DETECTED]
    deviation = x.std(axis=0, ddof=1)
    varies = deviation > 1e-9
    standardised: NDArray[np.float64] = (x[:, varies] - x[:, varies].mean(axis=0)) / deviation[varies]
    return standardised.astype(np.float32)  # half the memory to shuffle


def _divergence(z: NDArray[np.float32], rng: np.random.Generator) -> float:
    """mcDiv: distance of the correlation matrix from the identity over the same with each gene shuffled."""
    return distance_from_identity(z) / distance_from_identity(rng.permuted(z, axis=0))
