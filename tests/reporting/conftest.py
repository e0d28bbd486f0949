from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scproto import _keys
from scproto.metacells.tree import ward_tree

Made = tuple[AnnData, AnnData, dict[str, pd.DataFrame]]
GENES = ["CD3D", "MS4A1", "<LYZ>", "NKG7", "GNLY", "ACTB"]


@pytest.fixture
def make_run() -> Callable[..., Made]:
    """Cells, metacells and history of a run. Metacell 0 mixes two labels; the decoder knows all but the last gene."""

    def make(n_metacells: int = 4, batches: tuple[str, ...] = ("lab a", "lab b")) -> Made:
        n_cells = 20 * n_metacells
        metacell, batch = np.arange(n_cells) % n_metacells, np.arange(n_cells) // n_metacells % len(batches)
        rng = np.random.default_rng(0)
        names = [f"metacell_{i}" for i in range(n_metacells)]
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
            {"n_cells": 20, "n_counts": 1000.0, "batch_entropy": 1.0, "confidence": rng.random(n_metacells)},
            index=names,
        )
        for name in batches:
            table[f"share_{name}"] = 1 / len(batches)
        table["cell_type"], table["cell_type_share"] = "T", 1.0
        prototypes = rng.normal(size=(n_metacells, 4)).astype(np.float32)
        prototypes /= np.linalg.norm(prototypes, axis=1, keepdims=True)
        metacells = AnnData(
            X=(decoded := rng.gamma(0.5, 20, size=(n_metacells, len(GENES))).astype(np.float32)),
            obs=table,
            var=pd.DataFrame({_keys.GENES: np.arange(len(GENES)) < len(GENES) - 1}, index=GENES),
            obsm={_keys.LATENT: prototypes, _keys.UMAP: rng.normal(size=(n_metacells, 2))},
            uns={_keys.TREE: ward_tree(prototypes)},
            layers={"decoded": decoded},
        )
        return cells, metacells, {"loss": pd.DataFrame({"loss": [3.0, 2.0, 1.0]})}

    return make
