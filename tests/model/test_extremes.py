"""Cells at the limits of the algorithms: few, alike, or with extreme counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from scproto import pp
from scproto.model import SCPROTO
from scproto.tl import assign_metacells

pytestmark = pytest.mark.filterwarnings("ignore:Category . in adata.obs.* has fewer than 3 cells")


def counts(n_cells: int, n_genes: int = 40) -> np.ndarray:
    rng = np.random.default_rng(n_cells)
    profile = rng.gamma(0.5, size=(3, n_genes)) + 0.02
    x = rng.poisson(100 * (profile / profile.sum(1, keepdims=True))[rng.integers(3, size=n_cells)])
    x[:, 0] += 1
    return x


def deep_cell() -> np.ndarray:
    x = counts(60).astype(np.float64)
    x[0] *= 1e9
    return x


def deep_gene() -> np.ndarray:
    x = counts(60).astype(np.float64)
    x[:, 5] = 1e9 * np.random.default_rng(0).integers(1, 3, 60)
    return x


TWO, ONE = ["a", "b"], ["a"]

CASES = {
    "two_cells": (counts(2), ONE, {}),
    "two_cells_one_prototype": (counts(2), ONE, {"n_prototypes": 1}),
    "three_cells_on_a_line": (counts(3), ONE, {"n_prototypes": 1, "n_latent": 1, "n_hidden": 1}),
    "batches_of_two": (counts(20), list("abcdefghij"), {}),
    "a_prototype_for_each_cell": (counts(30), TWO, {"n_prototypes": 30}),
    "one_prototype": (counts(30), TWO, {"n_prototypes": 1}),
    "three_cells_again_and_again": (np.repeat(counts(3), 20, axis=0), TWO, {"n_prototypes": 60}),
    "half_of_them_alike": (counts(40)[[*[0] * 20, *range(20, 40)]], TWO, {"n_prototypes": 30}),
    "a_batch_alike": (np.where(np.arange(40)[:, None] % 2, counts(40)[1], counts(40)), TWO, {}),
    "a_gene_each": (np.eye(60), TWO, {}),
    "one_gene_varies": (np.where((np.arange(60)[:, None] % 3 == 0) & (np.arange(40) == 0), 4, 1), ONE, {}),
    "a_cell_of_a_billion": (deep_cell(), TWO, {}),
    "a_gene_of_a_billion": (deep_gene(), TWO, {}),
    "hard_assignment": (counts(30), TWO, {"epsilon": 1e-6, "temperature": 1e-6}),
    "no_assignment": (counts(30), TWO, {"n_sinkhorn": 0, "n_alignment": 0, "weight_propagation": 0}),
}


@pytest.mark.parametrize(("x", "batches", "arguments"), CASES.values(), ids=CASES.keys())
def test_results_are_numbers(x, batches, arguments):
    obs = pd.DataFrame({"batch": np.resize(batches, len(x))}, index=[f"cell_{i}" for i in range(len(x))])
    adata = AnnData(sparse.csr_matrix(x, dtype=np.float32), obs)
    pp.prepare(adata, "batch", n_neighbors=100, n_pcs=100)
    SCPROTO.setup_anndata(adata)
    model = SCPROTO(adata, **{"n_hidden": 8, "n_latent": 4} | arguments)
    model.train(8, accelerator="cpu", enable_progress_bar=False, batch_size=10**6)
    assign_metacells(adata, model)
    for unit in (model.get_latent_representation(), model.prototypes):
        np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-5)
    for name, values in model.history.items():
        assert np.isfinite(values[name].dropna().to_numpy(float)).all(), name
    assert np.isfinite(adata.obsm["X_scproto_pca"]).all()
    metacells = model.get_metacells()
    assert np.isfinite(metacells.X).all()
    np.testing.assert_allclose(metacells.layers["counts"].sum(), x.sum(), rtol=1e-5)
