"""Shape of metacells in a space of the cells: SEACells' compactness and separation, and coverage of the cells.

The space is an embedding or its diffusion components. Compare scores only within the same space, because metacells
look better in the space in which they were made.
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
"""Maximum number of cells for a brute-force neighbour search, which is then faster than compiling an index."""


def compactness_variance(coordinates: ArrayLike, assignment: ArrayLike) -> float:
    """Compactness as SEACells defines it: variance within a metacell. Lower is better.

    The variance (divided by n - 1) of each component over the cells of a metacell is averaged over components, then
    over metacells (Persad et al., Nature Biotechnology 2023, where the components are those of a diffusion map).
    MetaQ's compactness is a different score: :func:`~scproto.metrics.compactness_correlation`.

    Parameters
    ----------
    coordinates
        Diffusion components, principal components or another embedding, ``(n_cells, n_dims)``.
    assignment
        Metacell of each cell, ``(n_cells,)``.

    Returns
    -------
    compactness : float
        Mean variance, at least 0, in squared units of the coordinates. Metacells of one cell have no variance and are
        left out; NaN if there are no others.

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
    """Separation as SEACells defines it: distance to the nearest other metacell. Higher is better.

    The distance is Euclidean, between the means of the metacells, and is averaged over metacells (Persad et al.,
    Nature Biotechnology 2023). MetaQ's separation is a different score:
    :func:`~scproto.metrics.separation_correlation`.

    Parameters
    ----------
    coordinates
        Diffusion components, principal components or another embedding, ``(n_cells, n_dims)``.
    assignment
        Metacell of each cell, ``(n_cells,)``.

    Returns
    -------
    separation : float
        Mean distance, at least 0, in units of the coordinates; NaN if there is only one metacell.

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
    """Quantiles of the distance from a cell to the nearest metacell. Lower is better.

    High quantiles show whether rare states are far from every metacell. A metacell lies at the mean of its cells.
    Distances are divided by the root mean square distance of all cells from their mean, so that the scores do not
    depend on the unit of the embedding. For a single metacell of all cells, the root mean square distance is then 1.

    Parameters
    ----------
    coordinates
        Embedding, ``(n_cells, n_dims)``.
    assignment
        Metacell of each cell, ``(n_cells,)``.
    quantiles
        Quantiles to compute, each in [0, 1].

    Returns
    -------
    scores : dict of str to float
        Distances, at least 0, named ``coverage_distance_q50`` and so on; all 0 if all cells lie in one place.

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
    """Diffusion map of the cells, computed by scanpy, as a space for compactness and separation.

    Each component is scaled to a mean square of 1, so that scores do not depend on the number of cells, and then by
    its eigenvalue λ (diffusion time 1). SEACells instead scales by λ / (1 - λ), as Palantir's multi-scale space does.
    This factor diverges where populations such as distinct cell types share no neighbours (λ = 1), so it is not used
    here. Values are therefore comparable between metacells of the same cells, but not with the SEACells paper.

    Parameters
    ----------
    coordinates
        Embedding, ``(n_cells, n_dims)``.
    n_components
        Number of components after the constant one, by default as in SEACells; lower if there are few cells.
    n_neighbors
        Size of the neighbourhoods, by default as in Palantir; smaller if there are few cells.
    seed
        Seed of the neighbour search and the eigenvectors.

    Returns
    -------
    components : numpy.ndarray
        Diffusion components, ``(n_cells, n_components)``.

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
        raise InputError("Some cells and all their neighbours lie in one place: a diffusion map needs distinct cells.")
    vectors, values = found
    # scanpy keeps the first component, which reflects only the density of the cells
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
        Seed of the diffusion map.

    Returns
    -------
    scores : dict of str to float
        ``compactness_variance`` and ``separation_distance`` in the diffusion components of the embedding, and the
        :func:`coverage_quantiles` in the embedding itself. Scores that cannot be computed are left out, and the log
        says so; a diffusion map, for example, needs at least five cells.

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
