"""Simulate atlases whose batches differ in composition."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from anndata import AnnData

from scproto._errors import InputError

from ._simulate import simulate_atlas

Scenario = Literal["missing_types", "private_type", "rare_type", "tiny_batch"]

_N_TYPES, _N_BATCHES = 6, 3
_MIN_CELLS = 1500
"""Minimum number of cells; with fewer, a batch may have no cell of the rare type."""
_RARE_SHARE = 0.002
"""Share of the rare type in each batch."""
_TINY = 30
"""Number of cells in the tiny batch."""
_BATCH_STRENGTH = 0.5
"""A batch moves a cell about as far as the distance from its type to the nearest other type."""
_DEPTHS = 1000.0, 2000.0
"""Mean counts per cell in the first and the last batch; the batches between are spaced evenly."""


def simulate_scenario(name: Scenario, n_cells: int = 15_000, n_genes: int = 500, *, seed: int = 0) -> AnnData:
    """Simulate an atlas in which one batch or one type differs from the others.

    The atlas comes from :func:`simulate_atlas`, with six types and three batches of equal size and composition. The
    scenario changes one thing:

    - ``"missing_types"``: the last batch lacks half of the types. Each missing type is the nearest relative of
      a type that the batch has.
    - ``"private_type"``: only the last batch has the last type. All batches have its nearest relative.
    - ``"rare_type"``: the last type makes up 0.2 % of each batch.
    - ``"tiny_batch"``: a fourth batch has 30 cells; the other batches share the rest equally.

    Parameters
    ----------
    name
        Name of the scenario.
    n_cells, n_genes
        Size of the atlas, at least 1,500 cells. With the default, each large batch has 5,000 cells (4,990 beside the
        tiny batch), and the rare type has 30 cells.
    seed
        Seed of all random draws.

    Returns
    -------
    adata : AnnData
        Atlas as from :func:`simulate_atlas`, without a trajectory: counts in ``X``, the truth in ``obs["batch"]`` and
        ``obs["cell_type"]``. ``obs["focus"]`` marks the cells of the unusual batch or type. ``uns["scenario"]`` has
        ``name``, ``batch`` (the unusual batch; empty for a rare type) and ``types`` (the missing, private or rare
        types; empty for a tiny batch).

    Raises
    ------
    InputError
        If there is no such scenario, or `n_cells` is too small.

    Examples
    --------
    >>> adata = scproto.datasets.simulate_scenario("private_type")
    >>> adata.uns["scenario"]["types"]
    ['type_5']
    """
    if name not in get_args(Scenario):
        raise InputError(f"There is no scenario {name!r}; choose one of {', '.join(get_args(Scenario))}.")
    if n_cells < _MIN_CELLS:
        raise InputError(f"n_cells={n_cells} is too small for a rare type or a tiny batch: give at least {_MIN_CELLS}.")
    n_batches = _N_BATCHES + (name == "tiny_batch")
    shares, sizes = np.ones((n_batches, _N_TYPES)), np.ones(n_batches)
    batch, types = f"batch_{n_batches - 1}", [f"type_{_N_TYPES - 1}"]
    if name == "missing_types":
        shares[-1, 1::2] = 0
        types = [f"type_{i}" for i in range(1, _N_TYPES, 2)]
    elif name == "private_type":
        shares[:-1, -1] = 0
    elif name == "rare_type":
        shares[:, -1] = _RARE_SHARE / (1 - _RARE_SHARE) * (_N_TYPES - 1)
        batch = ""
    else:
        sizes[:] = [(n_cells - _TINY) / _N_BATCHES] * _N_BATCHES + [_TINY]
        types = []
    adata = simulate_atlas(
        n_cells,
        n_genes,
        n_batches,
        _N_TYPES,
        composition=shares,
        batch_sizes=sizes.tolist(),
        batch_strength=_BATCH_STRENGTH,
        depth=np.linspace(*_DEPTHS, n_batches).tolist(),
        trajectory=False,
        seed=seed,
    )
    by_type = name in ("private_type", "rare_type")
    adata.obs["focus"] = (adata.obs["cell_type"].isin(types) if by_type else adata.obs["batch"] == batch).to_numpy()
    adata.uns["scenario"] = {"name": name, "batch": batch, "types": types}
    return adata
