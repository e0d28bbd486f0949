"""Simulate atlases of any size with known truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scproto._errors import InputError

_DISPERSION = 5.0
"""Inverse dispersion of the negative binomial: variance = mean + mean² / 5."""
_TYPE_GENES, _TYPE_SD = 0.2, 1.0
"""Share of the genes that change along an edge of the tree of types, and the size of the change (log scale)."""
_BASE_SD = 1.2
"""Spread of the mean expression over the genes (log scale)."""
_DEPTH_SD = 0.3
"""Spread of the depth over the cells of a batch (log scale)."""
_BLOCK = 1024
"""Number of cells drawn at a time, which limits the memory."""

Composition = Literal["balanced", "unequal"] | np.ndarray


def simulate_atlas(
    n_cells: int = 2000,
    n_genes: int = 500,
    n_batches: int = 3,
    n_types: int = 6,
    *,
    composition: Composition = "balanced",
    batch_sizes: Sequence[float] | None = None,
    rare_fraction: float = 0.01,
    batch_strength: float = 0.5,
    depth: float | Sequence[float] = 1000.0,
    trajectory: bool = True,
    seed: int = 0,
) -> AnnData:
    """Simulate counts of several batches with known truth.

    Cell types are the leaves of a binary tree. Along each edge of the tree, some genes change. A batch multiplies each
    gene by a log-normal factor, which is the same for all cells of the batch. Counts are negative binomial. Memory
    grows only with the number of non-zero counts.

    Parameters
    ----------
    n_cells, n_genes, n_batches, n_types
        Size of the atlas.
    composition
        Proportions of the types in each batch: ``"balanced"`` for the same in all batches, ``"unequal"`` for a
        Dirichlet draw per batch, or an array of proportions ``(n_batches, n_types)``, in which zeros leave a type out
        of a batch.
    batch_sizes
        Relative sizes of the batches; by default, all are equal.
    rare_fraction
        Share of the last type in every batch, unless ``composition`` is an array.
    batch_strength
        Standard deviation of the batch shifts (log scale); 0 means no batch effect.
    depth
        Mean counts per cell: one value for all batches, or one per batch.
    trajectory
        Whether the cells of the first type lie on a line from its profile to a mature one. Their position is
        ``obs["pseudotime"]`` in [0, 1], which is missing in the other types.
    seed
        Seed of all random draws.

    Returns
    -------
    adata : AnnData
        Cells in random order, with counts in ``X`` (CSR, float32). ``obs`` has ``batch``, ``cell_type`` and, with a
        trajectory, ``pseudotime``. ``varm["type_profile"]`` is the expected share of each gene in each type without
        batch effect, ``(n_genes, n_types)``. ``varm["batch_shift"]`` is the log of the factor of each gene in each
        batch, ``(n_genes, n_batches)``.

    Raises
    ------
    InputError
        If there are fewer than two types, or if the composition or the batch sizes do not fit the numbers of batches
        and types.
    """
    if n_types < 2:
        raise InputError(f"n_types={n_types} is too small: the last type is the rare one, so give at least two.")
    rng = np.random.default_rng(seed)
    shares = _shares(composition, n_batches, n_types, rare_fraction, rng)
    sizes = _apportion(_sizes(batch_sizes, n_batches), n_cells)
    batch, cell_type = _draw_cells(sizes, shares, rng)
    profiles = _type_profiles(n_types, n_genes, rng)
    shifts = batch_strength * rng.standard_normal((n_batches, n_genes))
    maturation = _edge_effects(1, n_genes, rng)[0]
    time = np.where(cell_type == 0, rng.random(n_cells), 0.0) if trajectory else np.zeros(n_cells)
    library = np.broadcast_to(depth, n_batches)[batch] * rng.lognormal(-(_DEPTH_SD**2) / 2, _DEPTH_SD, n_cells)

    def block(cells: slice) -> sparse.csr_matrix:
        log_rate = profiles[cell_type[cells]] + shifts[batch[cells]] + time[cells, None] * maturation
        return _negative_binomial(log_rate, library[cells], rng)

    counts = sparse.vstack([block(slice(i, i + _BLOCK)) for i in range(0, n_cells, _BLOCK)], format="csr")
    batches, types, genes = _numbered("batch", n_batches), _numbered("type", n_types), _numbered("gene", n_genes)
    obs = pd.DataFrame(
        {"batch": pd.Categorical.from_codes(batch, batches), "cell_type": pd.Categorical.from_codes(cell_type, types)},
        index=_numbered("cell", n_cells),
    )
    if trajectory:
        obs["pseudotime"] = np.where(cell_type == 0, time, np.nan)
    truth = {
        "type_profile": pd.DataFrame(_softmax(profiles).T, genes, types),
        "batch_shift": pd.DataFrame(shifts.T, genes, batches),
    }
    return AnnData(counts, obs, pd.DataFrame(index=genes), varm=truth)


def _numbered(name: str, n: int) -> list[str]:
    return [f"{name}_{i}" for i in range(n)]


def _shares(
    composition: Composition, n_batches: int, n_types: int, rare_fraction: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the proportions of the types in each batch, ``(n_batches, n_types)``."""
    if not isinstance(composition, str):
        shares = np.asarray(composition, dtype=float)
        if shares.shape != (n_batches, n_types) or (shares < 0).any() or (shares.sum(axis=1) <= 0).any():
            raise InputError(
                f"composition must be {n_batches} x {n_types} proportions (batches by types): none may be negative, "
                "and each batch needs a positive one."
            )
        return shares / shares.sum(axis=1, keepdims=True)
    if composition == "unequal":
        common = rng.dirichlet(np.ones(n_types - 1), size=n_batches)
    elif composition == "balanced":
        common = np.full((n_batches, n_types - 1), 1 / (n_types - 1))
    else:
        raise InputError(f'composition must be "balanced", "unequal" or an array, not {composition!r}.')
    return np.column_stack([(1 - rare_fraction) * common, np.full(n_batches, rare_fraction)])


def _sizes(batch_sizes: Sequence[float] | None, n_batches: int) -> np.ndarray:
    sizes = np.ones(n_batches) if batch_sizes is None else np.asarray(batch_sizes, dtype=float)
    if sizes.shape != (n_batches,) or (sizes <= 0).any():
        raise InputError(f"batch_sizes must be {n_batches} positive numbers, one per batch.")
    return sizes


def _apportion(weights: np.ndarray, total: int) -> np.ndarray:
    """Split `total` into whole numbers in proportion to the weights (largest remainder method)."""
    exact = weights / weights.sum() * total
    parts = np.floor(exact).astype(int)
    parts[np.argsort(parts - exact, kind="stable")[: total - parts.sum()]] += 1
    return parts


def _draw_cells(sizes: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw the batch and the type of each cell in random order, ``(n_cells,)`` each."""
    table = np.array([_apportion(share, size) for share, size in zip(shares, sizes, strict=True)])
    pairs = np.repeat(np.arange(table.size), table.ravel())
    batch, cell_type = np.divmod(rng.permutation(pairs), table.shape[1])
    return batch, cell_type


def _edge_effects(n_edges: int, n_genes: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the log changes along edges of the tree, which are zero for most genes, ``(n_edges, n_genes)``."""
    changed = rng.random((n_edges, n_genes)) < _TYPE_GENES
    return changed * rng.normal(scale=_TYPE_SD, size=(n_edges, n_genes))


def _type_profiles(n_types: int, n_genes: int, rng: np.random.Generator) -> np.ndarray:
    """Draw log profiles of the types, ``(n_types, n_genes)``.

    At level l of the tree, types t with the same ``t >> l`` share a branch.
    """
    profiles = np.tile(rng.normal(scale=_BASE_SD, size=n_genes), (n_types, 1))
    for level in range(max(1, int(n_types - 1).bit_length())):
        branch = np.arange(n_types) >> level
        profiles += _edge_effects(branch.max() + 1, n_genes, rng)[branch]
    return profiles


def _negative_binomial(log_rate: np.ndarray, library: np.ndarray, rng: np.random.Generator) -> sparse.csr_matrix:
    """Draw counts with means library × softmax(log_rate), ``(n_cells, n_genes)``."""
    mean = _softmax(log_rate) * library[:, None]
    rate = mean * rng.standard_gamma(_DISPERSION, size=mean.shape) / _DISPERSION
    return sparse.csr_matrix(rng.poisson(rate).astype(np.float32))


def _softmax(log_rate: np.ndarray) -> np.ndarray:
    rate = np.exp(log_rate - log_rate.max(axis=1, keepdims=True))
    return rate / rate.sum(axis=1, keepdims=True)
