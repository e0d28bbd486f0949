from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from scproto import _keys
from scproto.metacells.tree import ward_tree


@pytest.fixture
def make_cells() -> Callable[..., AnnData]:
    """Cells with a UMAP and one column of each kind that can colour a figure."""

    def make(n_cells: int = 60, n_types: int = 3) -> AnnData:
        rng = np.random.default_rng(0)
        obs = pd.DataFrame(
            {
                _keys.BATCH: pd.Categorical(rng.choice(["lab a", "lab b"], n_cells)),
                "cell_type": pd.Categorical([f"type {i % n_types}" for i in range(n_cells)]),
                _keys.CONFIDENCE: rng.random(n_cells),
                "doublet": np.arange(n_cells) % 2 == 0,
            },
            index=[f"cell_{i}" for i in range(n_cells)],
        )
        return AnnData(obs=obs, obsm={_keys.UMAP: rng.normal(size=(n_cells, 2)).astype(np.float32)})

    return make


@pytest.fixture
def metacells() -> AnnData:
    """Five metacells of two batches and two labels; the last has no cells."""
    obs = pd.DataFrame(
        {
            "n_cells": [10, 20, 30, 40, 0],
            "share_lab a": [0.9, 0.5, 0.1, 0.25, np.nan],
            "share_lab b": [0.1, 0.5, 0.9, 0.75, np.nan],
            "cell_type": pd.Categorical(["type 1", "type 0", "type 0", "type 0", None]),
            "cell_type_share": [1.0, 0.9, 0.8, 1.0, np.nan],
        },
        index=[f"metacell_{i}" for i in range(5)],
    )
    umap = np.random.default_rng(1).normal(size=(5, 2)).astype(np.float32)
    return AnnData(obs=obs, obsm={_keys.UMAP: umap})


@pytest.fixture
def make_metacells() -> Callable[..., AnnData]:
    """Any number of metacells, with batches, tree and genes; only the last metacell has the last batch."""

    def make(n: int = 6, n_batches: int = 3, n_genes: int = 5) -> AnnData:
        rng = np.random.default_rng(2)
        shares = rng.dirichlet(np.ones(n_batches), size=n)
        if n_batches > 1:
            shares[:-1, -1] = 0
        shares /= shares.sum(axis=1, keepdims=True)
        obs = pd.DataFrame(shares, columns=[f"share_lab {i}" for i in range(n_batches)])
        obs.insert(0, "n_cells", rng.permutation(np.arange(10, 10 + 5 * n, 5)))
        obs["batch_entropy"] = rng.random(n)
        obs["cell_type"] = pd.Categorical([f"type {i % 2}" for i in range(n)])
        obs.index = [f"metacell_{i}" for i in range(n)]
        counts = rng.poisson(rng.gamma(1, 5, size=(n, n_genes))).astype(np.float32)
        prototypes = rng.normal(size=(n, 4)).astype(np.float32)
        return AnnData(
            obs=obs,
            var=pd.DataFrame(index=[f"gene {i}" for i in range(n_genes)]),
            layers={"counts": sp.csr_matrix(counts), "decoded": rng.gamma(1, 20, size=(n, n_genes)).astype(np.float32)},
            obsm={_keys.LATENT: prototypes, _keys.UMAP: rng.normal(size=(n, 2)).astype(np.float32)},
            uns={_keys.TREE: ward_tree(prototypes)},
        )

    return make
