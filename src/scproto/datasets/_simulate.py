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
_PROGRAMME_GENES, _PROGRAMME_SD = 0.15, 0.5
"""Share of the genes in a programme, and the size of their change per unit of activity (log scale)."""
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
    n_studies: int | None = None,
    batch_strength: float = 0.5,
    donor_strength: float = 0.1,
    depth: float | Sequence[float] = 1000.0,
    trajectory: bool = True,
    n_programmes: int = 0,
    seed: int = 0,
) -> AnnData:
    """Simulate counts of several batches with known truth.

    Cell types are the leaves of a binary tree. Along each edge of the tree, some genes change. A batch multiplies each
    gene by a log-normal factor, which is the same for all cells of the batch. Batches can be donors of studies, and the
    cells of a type can vary along continuous programmes. Counts are negative binomial. Memory grows only with the
    number of non-zero counts.

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
    n_studies
        Number of studies. If given, each batch is a donor of one study. The studies have equal numbers of donors, or
        numbers that differ by one.
    batch_strength
        Standard deviation of the batch shifts (log scale); 0 means no shift. With studies, all donors of a
        study share this shift.
    donor_strength
        Standard deviation of the shift that each donor adds to that of its study (log scale). Without studies, it has
        no effect.
    depth
        Mean counts per cell: one value for all batches, or one per batch.
    trajectory
        Whether the cells of the first type lie on a line from its profile to a mature one. Their position is
        ``obs["pseudotime"]`` in [0, 1], which is missing in the other types.
    n_programmes
        Number of continuous programmes per type. A programme is a set of about 15 % of the genes, whose log expression
        is linear in the cell's activity. Each type has its own programmes. The activity of each cell is uniform in
        [-1, 1], independent of its batch, its type and its other activities.
    seed
        Seed of all random draws.

    Returns
    -------
    adata : AnnData
        Cells in random order, with counts in ``X`` (CSR, float32). ``obs`` has ``batch``, ``cell_type`` and, with a
        trajectory, ``pseudotime``, and with studies, ``study``. ``varm["type_profile"]`` is the expected share of each
        gene in each type without batch effect, at pseudotime 0 and without activity, ``(n_genes, n_types)``.
        ``varm["batch_shift"]`` is the log of the factor of each gene in each batch, ``(n_genes, n_batches)``; with
        studies, it is the sum of the shifts of study and donor. With programmes, ``obsm["programme"]`` is the activity
        of each cell, ``(n_cells, n_programmes)``, and ``varm["programme_loading"]`` is the log change of each gene per
        unit of activity in each type, ``(n_genes, n_types, n_programmes)``.

    Raises
    ------
    InputError
        If a number is out of range, if there are more studies than batches, or if the composition or the batch sizes do
        not fit the numbers of batches and types.
    """
    if n_types < 2:
        raise InputError(f"n_types={n_types} is too small: the last type is the rare one, so give at least two.")
    _check_at_least(1, n_cells=n_cells, n_genes=n_genes, n_batches=n_batches)
    _check_at_least(0, batch_strength=batch_strength, donor_strength=donor_strength, n_programmes=n_programmes)
    _check_at_least(0, depth=np.min(depth))
    rng = np.random.default_rng(seed)
    shares = _shares(composition, n_batches, n_types, rare_fraction, rng)
    sizes = _apportion(_sizes(batch_sizes, n_batches), n_cells)
    batch, cell_type = _draw_cells(sizes, shares, rng)
    profiles = _type_profiles(n_types, n_genes, rng)
    study = None if n_studies is None else _studies(n_studies, n_batches)
    shifts = _batch_shifts(study, (n_batches, n_genes), batch_strength, donor_strength, rng)
    maturation = _sparse_effects((n_genes,), _TYPE_GENES, _TYPE_SD, rng)
    time = np.where(cell_type == 0, rng.random(n_cells), 0.0) if trajectory else np.zeros(n_cells)
    library = np.broadcast_to(depth, n_batches)[batch] * rng.lognormal(-(_DEPTH_SD**2) / 2, _DEPTH_SD, n_cells)
    activity = rng.uniform(-1, 1, (n_cells, n_programmes)).astype(np.float32)
    loadings = _sparse_effects((n_types, n_programmes, n_genes), _PROGRAMME_GENES, _PROGRAMME_SD, rng)

    def block(cells: slice) -> sparse.csr_matrix:
        log_rate = profiles[cell_type[cells]] + shifts[batch[cells]] + time[cells, None] * maturation
        for i in range(n_programmes):
            log_rate += activity[cells, i, None] * loadings[cell_type[cells], i]
        return _negative_binomial(log_rate, library[cells], rng)

    counts = sparse.vstack([block(slice(i, i + _BLOCK)) for i in range(0, n_cells, _BLOCK)], format="csr")
    batches, types, genes = _numbered("batch", n_batches), _numbered("type", n_types), _numbered("gene", n_genes)
    obs = pd.DataFrame(
        {"batch": pd.Categorical.from_codes(batch, batches), "cell_type": pd.Categorical.from_codes(cell_type, types)},
        index=_numbered("cell", n_cells),
    )
    if trajectory:
        obs["pseudotime"] = np.where(cell_type == 0, time, np.nan)
    if study is not None:
        obs["study"] = pd.Categorical.from_codes(study[batch], _numbered("study", study[-1] + 1))
    adata = AnnData(counts, obs, pd.DataFrame(index=genes))
    adata.varm["type_profile"] = pd.DataFrame(_softmax(profiles).T, genes, types)
    adata.varm["batch_shift"] = pd.DataFrame(shifts.T, genes, batches)
    if n_programmes:
        adata.obsm["programme"] = activity
        adata.varm["programme_loading"] = np.moveaxis(loadings, -1, 0)
    return adata


def _numbered(name: str, n: int) -> list[str]:
    return [f"{name}_{i}" for i in range(n)]


def _check_at_least(least: int, **numbers: float) -> None:
    for name, number in numbers.items():
        if not number >= least:
            raise InputError(f"{name}={number} is too small: give at least {least}.")


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
    if not 0 <= rare_fraction <= 1:
        raise InputError(f"rare_fraction={rare_fraction} is not a share: give a number between 0 and 1.")
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


def _studies(n_studies: int, n_batches: int) -> np.ndarray:
    """Return the study of each batch, with neighbouring batches in the same study, ``(n_batches,)``."""
    if not 1 <= n_studies <= n_batches:
        raise InputError(
            f"n_studies={n_studies} does not fit n_batches={n_batches}: give at least one study, "
            "and at least one batch per study."
        )
    return np.arange(n_batches) * n_studies // n_batches


def _batch_shifts(
    study: np.ndarray | None, shape: tuple[int, int], strength: float, donor_strength: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw the log factors of the genes in each batch, ``(n_batches, n_genes)``."""
    if study is None:
        return strength * rng.standard_normal(shape)
    shared = strength * rng.standard_normal((study[-1] + 1, shape[1]))
    return shared[study] + donor_strength * rng.standard_normal(shape)


def _sparse_effects(shape: tuple[int, ...], share: float, sd: float, rng: np.random.Generator) -> np.ndarray:
    """Draw log changes; the given share of them is not zero."""
    changed = rng.random(shape) < share
    return changed * rng.normal(scale=sd, size=shape)


def _type_profiles(n_types: int, n_genes: int, rng: np.random.Generator) -> np.ndarray:
    """Draw log profiles of the types, ``(n_types, n_genes)``.

    At level l of the tree, types t with the same ``t >> l`` share a branch.
    """
    profiles = np.tile(rng.normal(scale=_BASE_SD, size=n_genes), (n_types, 1))
    for level in range(max(1, int(n_types - 1).bit_length())):
        branch = np.arange(n_types) >> level
        profiles += _sparse_effects((branch.max() + 1, n_genes), _TYPE_GENES, _TYPE_SD, rng)[branch]
    return profiles


def _negative_binomial(log_rate: np.ndarray, library: np.ndarray, rng: np.random.Generator) -> sparse.csr_matrix:
    """Draw counts with means library × softmax(log_rate), ``(n_cells, n_genes)``."""
    mean = _softmax(log_rate) * library[:, None]
    rate = mean * rng.standard_gamma(_DISPERSION, size=mean.shape) / _DISPERSION
    return sparse.csr_matrix(rng.poisson(rate).astype(np.float32))


def _softmax(log_rate: np.ndarray) -> np.ndarray:
    rate = np.exp(log_rate - log_rate.max(axis=1, keepdims=True))
    return rate / rate.sum(axis=1, keepdims=True)
