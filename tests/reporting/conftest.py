from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scproto import _keys

Made = tuple[AnnData, AnnData, dict[str, pd.DataFrame]]


@pytest.fixture
def make_run() -> Callable[..., Made]:
    """Cells, metacells and history of a run. Metacell 0 mixes two labels; the last metacell has no cell."""

    def make(n_metacells: int = 4, batches: tuple[str, ...] = ("lab a", "lab b")) -> Made:
        n_cells = 20 * n_metacells
        metacell, batch = np.arange(n_cells) % n_metacells, np.arange(n_cells) // n_metacells % len(batches)
        rng = np.random.default_rng(0)
        names = [f"metacell_{i}" for i in range(n_metacells + 1)]
        obs = pd.DataFrame(
            {
                _keys.METACELL: pd.Categorical.from_codes(metacell, names),
                _keys.BATCH: pd.Categorical.from_codes(batch, batches),
                "cell_type": np.where((metacell == 0) & (np.arange(n_cells) < n_cells / 4), "B", "T"),
            },
            index=[f"cell_{i}" for i in range(n_cells)],
        )
        cells = AnnData(
            obs=obs,
            obsm={_keys.LATENT: rng.normal(size=(n_cells, 4)), _keys.UMAP: rng.normal(size=(n_cells, 2))},
            uns={_keys.UNS: {"seed": 0, "settings": {"n_prototypes": n_metacells, "batch_key": ["lab"]}}},
        )
        table = pd.DataFrame(
            {"n_cells": [20] * n_metacells + [0], "batch_entropy": 1.0, "confidence": 0.9}, index=names
        )
        for name in batches:
            table[f"share_{name}"] = 1 / len(batches)
        table["cell_type"], table["cell_type_share"] = "T", 1.0
        umap = rng.normal(size=(len(table), 2))
        metacells = AnnData(obs=table, obsm={_keys.LATENT: rng.normal(size=(len(table), 4)), _keys.UMAP: umap})
        return cells, metacells, {"loss": pd.DataFrame({"loss": [3.0, 2.0, 1.0]})}

    return make
