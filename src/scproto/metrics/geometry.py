"""Shape of metacells in a space of the cells: SEACells' compactness and separation, and how well cells are covered.

The space is an embedding or its diffusion components. Scores are comparable only in one and the same space: metacells
made in a space look better there.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _scanpy
from .._arguments import check_seed
from .._errors import InputError
from .groups import finite_matrix, finite_scores, group_codes, group_means, membership

logger = logging.getLogger(__name__)

QUANTILES = (0.5, 0.9, 0.99)
MIN_DIFFUSION_CELLS = 5
EXACT_CELLS = 20_000
"""Up to so many cells the neighbours are searched by brute force, which is faster than compiling an index."""


def compactness_variance(coordinates: ArrayLike, assignment: ArrayLike) -> float:
    """Compactness as SEACells defines it: variance inside a metacell; lower is better.

    The variance of each component over the cells of a metacell (divided by n - 1), averaged over components, then
    over metacells (Persad et al., Nature Biotechnology 2023, where the components are those of a diffusion map).
    MetaQ's compactness is another score: :func:`~scproto.metrics.compactness_correlation`.

    Parameters
    ----------
    coordinates
        Diffusion components, principal components or another embedding, ``(n_cells, n_dims)``.
    assignment
        Metacell of each cell, ``(n_cells,)``.

    Returns
    -------
    The mean variance, at least 0, in squared units of the coordinates. Metacells of one cell have no variance and
    are left out; NaN if there are no others.

    Raises
    ------
    InputError
        If the shapes do not match, or a value is missing or not finite.
    """
    x = finite_matrix(coordinates, "embedding")
    codes, _ = group_codes(assignment, len(x), "metacell")
    centroids, sizes = group_means(x, codes)
    squares = membership(codes) @ (x - centroids[codes]) ** 2
    variance = squares[sizes > 1].mean(axis=1) / (sizes[sizes > 1] - 1)
    return float(variance.mean()) if len(variance) else float("nan")


def separation_distance(coordinates: ArrayLike, assignment: ArrayLike) -> float:
    """Separation as SEACells defines it: distance to the nearest other metacell; higher is better.

    Euclidean distance between the means of the metacells (Persad et al., Nature Biotechnology 2023), averaged over
    metacells. MetaQ's separation is another score: :func:`~scproto.metrics.separation_correlation`.

    Parameters
    ----------
    coordinates
        Diffusion components, principal components or another embedding, ``(n_cells, n_dims)``.
    assignment
        Metacell of each cell, ``(n_cells,)``.

    Returns
    -------
    The mean distance, at least 0, in units of the coordinates; NaN if there is one metacell only.

    Raises
    ------
    InputError
        If the shapes do not match, or a value is missing or not finite.
    """
    from scipy.spatial import KDTree

    x = finite_matrix(coordinates, "embedding")
    centroids, sizes = group_means(x, group_codes(assignment, len(x), "metacell")[0])
    if len(sizes) < 2:
        return float("nan")
    return float(KDTree(centroids).query(centroids, k=2)[0][:, 1].mean())


def coverage_quantiles(
    coordinates: ArrayLike, assignment: ArrayLike, quantiles: Sequence[float] = QUANTILES
) -> dict[str, float]:
    """Quantiles of the distance from a cell to the nearest metacell; lower is better.

    High quantiles show whether rare states are far from every metacell. The place of a metacell is the mean of its
    cells. Distances are divided by the root mean square distance of the cells from the mean of all, so that the scores
    do not depend on the unit of the embedding: 1 is what a single metacell of all cells has, on average.

    Parameters
    ----------
    coordinates
        Embedding, ``(n_cells, n_dims)``.
    assignment
        Metacell of each cell, ``(n_cells,)``.
    quantiles
        Which ones, each in [0, 1].

    Returns
    -------
    The distances, at least 0, by the names ``coverage_distance_q50`` and so on; all 0 if all cells lie in one place.

    Raises
    ------
    InputError
        If the shapes do not match, or a value is missing or not finite.
    """
    from scipy.spatial import KDTree

    x = finite_matrix(coordinates, "embedding")
    centroids, _ = group_means(x, group_codes(assignment, len(x), "metacell")[0])
    spread = np.sqrt(((x - x.mean(axis=0)) ** 2).sum(axis=1).mean())
    distances = KDTree(centroids).query(x)[0] / (spread or 1.0)
    return {f"coverage_distance_q{100 * q:g}": float(np.quantile(distances, q)) for q in quantiles}


def diffusion_components(
    coordinates: ArrayLike, *, n_components: int = 10, n_neighbors: int = 30, seed: int = 0
) -> NDArray[np.float64]:
    """Diffusion map of the cells by scanpy, as a space for compactness and separation.

    Components are scaled by their eigenvalue (diffusion time 1) and to a mean square of 1 before that, so that scores
    do not depend on the number of cells. SEACells takes Palantir's multi-scale space, with λ / (1 - λ): this has no
    limit where populations have no neighbours in common (λ = 1), as distinct types do, and is not used here. So values
    are comparable between metacells of the same cells, and not with those in the SEACells paper.

    Parameters
    ----------
    coordinates
        Embedding, ``(n_cells, n_dims)``.
    n_components
        Number of components after the constant one; SEACells' default. Fewer if there are few cells.
    n_neighbors
        Size of the neighbourhoods; Palantir's default. Fewer if there are few cells.
    seed
        Of the neighbour search and the eigenvectors.

    Returns
    -------
    Components, ``(n_cells, n_components)``.

    Raises
    ------
    InputError
        If the coordinates are not finite, there are fewer than five cells, or many of them lie in one place.
    """
    seed = check_seed(seed)
    x = finite_matrix(coordinates, "embedding")
    if len(x) < MIN_DIFFUSION_CELLS:
        raise InputError(f"There are {len(x)} cells: a diffusion map needs at least {MIN_DIFFUSION_CELLS}.")
    n_components, n_neighbors = min(n_components + 1, len(x) - 2), min(n_neighbors, len(x) - 1)
    search = "sklearn" if len(x) <= EXACT_CELLS else "pynndescent"
    found = _scanpy.diffusion_map(x.astype(np.float32), n_components, n_neighbors, search, seed)
    if found is None:
        raise InputError("Cells and all their neighbours lie in one place: a diffusion map needs distances.")
    vectors, values = found
    # scanpy keeps the first one, which tells only how dense the cells lie
    scaled: NDArray[np.float64] = np.sqrt(len(x)) * (vectors * values)[:, 1:]
    return scaled


def geometry_scores(coordinates: ArrayLike, assignment: ArrayLike, *, seed: int = 0) -> dict[str, float]:
    """Score the shape of metacells in an embedding.

    Parameters
    ----------
    coordinates
        Embedding, ``(n_cells, n_dims)``.
    assignment
        Metacell of each cell, ``(n_cells,)``.
    seed
        Of the diffusion map.

    Returns
    -------
    ``compactness_variance`` and ``separation_distance`` in the diffusion components of the embedding, and the
    :func:`coverage_quantiles` in the embedding itself. Scores that cannot be computed, as those in a diffusion map of
    fewer than five cells, are left out, and the log says so.

    Raises
    ------
    InputError
        If the shapes do not match, or a value is missing or not finite.
    """
    seed = check_seed(seed)
    covered = coverage_quantiles(coordinates, assignment)
    try:
        components = diffusion_components(coordinates, seed=seed)
    except InputError as error:
        logger.info("%s Compactness and separation are left out.", error)
        return covered
    scores = {
        "compactness_variance": compactness_variance(components, assignment),
        "separation_distance": separation_distance(components, assignment),
    }
    return finite_scores(scores) | covered
