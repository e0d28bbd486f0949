"""The model as users make it: setup, impossible arguments, extreme cells, and batches of different composition."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from scipy import sparse

from scproto import _keys, pp
from scproto._errors import InputError
from scproto.datasets import simulate_atlas, simulate_scenario
from scproto.inputs import choose_n_prototypes
from scproto.metrics import absent_label_share, group_scores
from scproto.model import SCPROTO
from scproto.tl import assign_metacells


@pytest.mark.parametrize("lost", ["obs", "var", "uns"])
def test_cells_must_be_prepared(atlas, lost):
    adata = atlas.copy()
    name = {"obs": _keys.BATCH, "var": _keys.GENES, "uns": _keys.UNS}[lost]
    del getattr(adata, lost)[name]
    with pytest.raises(InputError, match=r"not prepared; run scproto\.pp\.prepare"):
        SCPROTO.setup_anndata(adata)


def test_batch_key_must_be_that_of_prepare(atlas):
    with pytest.raises(InputError, match=r"batch_key='cell_type', but prepare got \['batch'\]"):
        SCPROTO.setup_anndata(atlas.copy(), batch_key="cell_type")


@pytest.mark.parametrize("batch_key", ["batch", ["batch"], None])
def test_batch_key_in_any_form(atlas, batch_key):
    adata = atlas.copy()
    SCPROTO.setup_anndata(adata, batch_key=batch_key)
    assert SCPROTO(adata).reader.batch_key == ("batch",)


def test_layer_must_exist(atlas):
    with pytest.raises(ValueError, match="nothing"):
        SCPROTO.setup_anndata(atlas.copy(), layer="nothing")


@pytest.mark.parametrize("given", [None, "counts"], ids=["from_prepare", "by_name"])
def test_the_layer_of_prepare_is_used(raw_atlas, given):
    adata = raw_atlas.copy()
    adata.layers["counts"] = adata.X.copy()
    adata.X = np.log1p(adata.X.toarray())
    pp.prepare(adata, "batch", layer="counts")
    SCPROTO.setup_anndata(adata, layer=given)
    model = SCPROTO(adata)
    assert model.reader.layer == "counts"
    np.testing.assert_array_equal(model.cells().counts.toarray(), adata.layers["counts"].toarray())


@pytest.mark.parametrize(("highest", "dtype"), [(255, np.uint8), (256, np.uint16), (70_000, np.uint32)])
def test_counts_are_held_in_the_smallest_type(atlas, highest, dtype):
    adata = atlas.copy()
    adata.X = np.minimum(adata.X.toarray(), 100)
    adata.X[0, np.flatnonzero(adata.var["scproto_gene"])[0]] = highest
    SCPROTO.setup_anndata(adata)
    counts = SCPROTO(adata).cells().counts
    assert counts.dtype == dtype
    np.testing.assert_array_equal(counts.toarray(), adata.X[:, adata.var["scproto_gene"]])


@pytest.fixture
def registered(atlas):
    adata = atlas.copy()
    SCPROTO.setup_anndata(adata)
    return adata


@pytest.mark.parametrize(("n_prototypes", "expected"), [("auto", 10), (1, 1), (150, 150)])
def test_number_of_prototypes(registered, n_prototypes, expected):
    model = SCPROTO(registered, n_prototypes=n_prototypes)
    assert model.prototypes.shape == (expected, 16)
    np.testing.assert_allclose(np.linalg.norm(model.prototypes, axis=1), 1, rtol=1e-5)
    assert model.metacell_names[-1] == f"metacell_{expected - 1}"


@pytest.mark.parametrize(("n_cells", "expected"), [(4, 4), (10, 10), (700, 10), (1500, 20), (10**7, 1000)])
def test_auto_takes_one_prototype_per_75_cells(n_cells, expected):
    assert choose_n_prototypes("auto", n_cells) == expected


@pytest.mark.parametrize("n_prototypes", [0, -3, 151, 2.5, "Auto", None, True, float("nan")])
def test_impossible_number_of_prototypes(registered, n_prototypes):
    with pytest.raises(InputError, match='give a whole number from 1 to 150, or "auto"'):
        SCPROTO(registered, n_prototypes=n_prototypes)


def test_model_knows_genes_and_batches(registered, capsys):
    model = SCPROTO(registered)
    assert model.reader.genes == tuple(registered.var_names[registered.var[_keys.GENES]])
    assert model.reader.batches == ("batch_0", "batch_1", "batch_2")
    repr(model)  # scvi-tools prints it
    assert "10 prototypes, 3 batches, 60 genes" in capsys.readouterr().out


def test_the_seed_determines_the_weights_and_the_global_generator_stays_as_it_is(registered):
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    first, again, other = (SCPROTO(registered, seed=seed).prototypes for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_untrained_model_gives_no_results(registered):
    model = SCPROTO(registered)
    for ask in (model.get_latent_representation, model.get_metacells, model.get_normalized_expression):
        with pytest.raises(InputError, match="not trained"):
            ask()


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
    "a_prototype_per_cell": (counts(30), TWO, {"n_prototypes": 30}),
    "one_prototype": (counts(30), TWO, {"n_prototypes": 1}),
    "three_cells_repeated": (np.repeat(counts(3), 20, axis=0), TWO, {"n_prototypes": 60}),
    "half_of_them_identical": (counts(40)[[*[0] * 20, *range(20, 40)]], TWO, {"n_prototypes": 30}),
    "a_batch_of_identical_cells": (np.where(np.arange(40)[:, None] % 2, counts(40)[1], counts(40)), TWO, {}),
    "one_gene_per_cell": (np.eye(60), TWO, {}),
    "one_gene_varies": (np.where((np.arange(60)[:, None] % 3 == 0) & (np.arange(40) == 0), 4, 1), ONE, {}),
    "a_cell_with_billions_of_counts": (deep_cell(), TWO, {}),
    "a_gene_with_billions_of_counts": (deep_gene(), TWO, {}),
    "hard_assignment": (counts(30), TWO, {"epsilon": 1e-6, "temperature": 1e-6}),
    "no_assignment": (counts(30), TWO, {"n_sinkhorn": 0, "n_alignment": 0, "weight_propagation": 0}),
}


@pytest.mark.filterwarnings("ignore:Category . in adata.obs.* has fewer than 3 cells")
@pytest.mark.parametrize(("x", "batches", "arguments"), CASES.values(), ids=CASES.keys())
def test_results_are_finite_for_extreme_cells(x, batches, arguments):
    obs = pd.DataFrame({"batch": np.resize(batches, len(x))}, index=[f"cell_{i}" for i in range(len(x))])
    adata = AnnData(sparse.csr_matrix(x, dtype=np.float32), obs)
    pp.prepare(adata, "batch", n_neighbors=100, n_pcs=100)
    SCPROTO.setup_anndata(adata)
    model = SCPROTO(adata, **{"n_hidden": 8, "n_latent": 4} | arguments)
    model.train(8, accelerator="cpu", enable_progress_bar=False, batch_size=10**6)
    assign_metacells(adata, model)
    for unit in (model.get_latent_representation(sphere=True), model.prototypes):
        np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-5)
    assert np.isfinite(model.get_latent_representation()).all()
    for name, values in model.history.items():
        assert np.isfinite(values[name].dropna().to_numpy(float)).all(), name
    assert np.isfinite(adata.obsm["X_scproto_pca"]).all()
    metacells = model.get_metacells()
    assert np.isfinite(metacells.X).all()
    np.testing.assert_allclose(metacells.layers["counts"].sum(), x.sum(), rtol=1e-5)


# Metacells keep to one cell type when the batches differ in composition. The bounds leave room for chance: fits with
# four seeds pass them clearly, and a fit that mixes the types fails them clearly.


def fit(adata: AnnData) -> AnnData:
    pp.prepare(adata, "batch", n_pcs=20)
    SCPROTO.setup_anndata(adata)
    model = SCPROTO(adata)
    model.train(400, accelerator="cpu", enable_progress_bar=False)
    assign_metacells(adata, model)
    return adata


def focus_scores(adata: AnnData, focus: pd.Series) -> dict[str, float]:
    return group_scores(adata.obs["metacell"].astype(str), adata.obs["cell_type"].astype(str), focus)


def test_a_batch_does_not_get_types_that_it_lacks():
    adata = fit(simulate_scenario("missing_types", 1500, 200))
    absent = absent_label_share(*(adata.obs[key].astype(str) for key in ("metacell", "cell_type", "batch")))
    assert absent < 0.06  # 0.17 if the batch were spread evenly over all types
    assert focus_scores(adata, adata.obs["focus"])["recall"] > 0.85


def test_a_type_of_a_single_batch_stays_separate():
    adata = fit(simulate_scenario("private_type", 1500, 200))
    scores = focus_scores(adata, adata.obs["focus"])
    assert scores["recall"] > 0.6
    assert scores["foreign"] < 0.45


def test_a_tiny_batch_joins_its_types():
    adata = fit(simulate_scenario("tiny_batch", 1500, 200))
    assert focus_scores(adata, adata.obs["focus"])["recall"] > 0.8
    company = group_scores(adata.obs["metacell"].astype(str), adata.obs["batch"].astype(str), adata.obs["focus"])
    assert company["foreign"] > 0.5  # cells of the other batches in its metacells


def test_a_rare_type_of_ten_cells_per_batch_has_a_metacell():
    adata = fit(simulate_atlas(1500, 200, 3, 6, rare_fraction=0.02, depth=1500, trajectory=False))
    assert focus_scores(adata, adata.obs["cell_type"] == "type_5")["recall"] > 0.6
