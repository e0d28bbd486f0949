from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData
from scipy import sparse

from scproto import _keys, tl
from scproto._errors import InputError
from scproto.datasets import simulate_atlas
from scproto.model import SCPROTO


@pytest.fixture
def query(atlas: AnnData) -> AnnData:
    """New cells of the same types in batches that the model does not know."""
    new = simulate_atlas(400, 200, 2, 4, rare_fraction=0.1, batch_sizes=[2, 1], trajectory=False, seed=2)
    new = new[np.random.default_rng(0).permutation(400)[:150]].copy()
    new.obs["batch"] = pd.Categorical(new.obs["batch"].astype(str).map({"batch_0": "new_a", "batch_1": "new_b"}))
    return new


def test_it_writes_what_assign_metacells_writes(atlas, model, query):
    fitted = atlas.copy()
    tl.assign_metacells(fitted, model)
    tl.map_query(query, model)
    for table, written in (("obs", _keys.WRITTEN_OBS), ("obsm", _keys.WRITTEN_OBSM), ("varm", (_keys.AXES,))):
        for key in written:
            assert getattr(query, table)[key].shape[1:] == getattr(fitted, table)[key].shape[1:]
    assert set(query.obs[_keys.BATCH]) == {"new_a", "new_b"}
    assert query.var[_keys.GENES].sum() == 150
    assert query.uns[_keys.UNS]["query"]["n_matched"] == 150


def test_cells_go_to_metacells_of_their_type(atlas, model, query):
    fitted = atlas.copy()
    tl.assign_metacells(fitted, model)
    tl.map_query(query, model)
    of_metacell = pd.crosstab(fitted.obs["metacell"], fitted.obs["cell_type"]).idxmax(axis=1)
    right = query.obs["metacell"].astype(str).map(of_metacell).astype(str) == query.obs["cell_type"].astype(str)
    assert right.mean() > 0.9


def test_cells_of_known_batches_lie_where_the_fit_put_them(atlas, model):
    again = atlas[::3].copy()
    tl.map_query(again, model)
    np.testing.assert_array_equal(again.obsm["X_scproto"], model.get_latent_representation()[::3])
    own = atlas.copy()
    tl.assign_metacells(own, model)
    np.testing.assert_array_equal(again.obs["metacell_confidence"], own.obs["metacell_confidence"][::3])


def test_the_order_and_number_of_genes_do_not_matter(model, query):
    shuffled = query[:, np.random.default_rng(1).permutation(query.n_vars)].copy()
    more = AnnData(
        sparse.hstack([shuffled.X, sparse.csr_matrix(np.ones((query.n_obs, 3), np.float32))]).tocsr(), shuffled.obs
    )
    more.var_names = [*shuffled.var_names, "x1", "x2", "x3"]
    for cells in (query, more):
        tl.map_query(cells, model)
    np.testing.assert_allclose(more.obsm["X_scproto"], query.obsm["X_scproto"], atol=1e-4)
    assert (more.obs["metacell"].astype(str) == query.obs["metacell"].astype(str)).mean() > 0.99


def test_genes_under_another_name_are_found(model, query, caplog):
    renamed = query.copy()
    renamed.var["feature_name"] = renamed.var_names
    renamed.var_names = [f"ENSG{i:011d}" for i in range(renamed.n_vars)]
    with caplog.at_level(logging.INFO):
        tl.map_query(renamed, model)
    tl.map_query(query, model)
    np.testing.assert_array_equal(renamed.obsm["X_scproto"], query.obsm["X_scproto"])
    assert "its var['feature_name'] match the model's gene names" in caplog.text


def test_missing_genes_move_the_embedding_little(model, query, caplog):
    part = query[:, np.random.default_rng(2).random(query.n_vars) < 0.7].copy()
    tl.map_query(query, model)
    with caplog.at_level(logging.INFO):
        tl.map_query(part, model)
    sphere = [cells.obsm["X_scproto_sphere"] for cells in (query, part)]
    assert (sphere[0] * sphere[1]).sum(axis=1).mean() > 0.9
    assert "% of the reference's signal" in caplog.text
    assert 0 < part.uns[_keys.UNS]["query"]["missing_signal"] < 0.75


def test_genes_of_the_same_name_are_summed(model, query):
    split = query.copy()
    half = sparse.random(*query.shape, 0.0, "csr", dtype=np.float32)
    doubled = AnnData(sparse.hstack([split.X, half]).tocsr(), split.obs)
    doubled.var_names = [*split.var_names, *(f"other{i}" for i in range(query.n_vars))]
    doubled.var["symbol"] = [*split.var_names, *split.var_names]
    doubled.var_names = [f"feature{i}" for i in range(doubled.n_vars)]
    found = tl.map_query(doubled, model)
    tl.map_query(query, model)
    assert found.genes.n_summed == 300
    np.testing.assert_allclose(doubled.obsm["X_scproto"], query.obsm["X_scproto"], atol=1e-4)


@pytest.mark.parametrize("n_cells", [1, 2])
def test_a_single_cell_can_be_mapped(model, query, n_cells):
    few = query[:n_cells].copy()
    tl.map_query(few, model)
    assert np.isfinite(few.obsm["X_scproto"]).all()
    assert few.obs["metacell"].notna().all()


def test_a_saved_model_maps_to_the_same_bits(model, query, tmp_path):
    model.save(tmp_path / "model")
    again = query.copy()
    tl.map_query(query, model)
    tl.map_query(again, SCPROTO.load(tmp_path / "model"))
    np.testing.assert_array_equal(again.obsm["X_scproto"], query.obsm["X_scproto"])


def test_mapping_leaves_the_model_as_it_is(atlas, model, query):
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    latent = model.get_latent_representation()
    tl.map_query(query, model)
    after = model.module.state_dict()
    assert all((value == after[name]).all() for name, value in before.items())
    np.testing.assert_array_equal(model.get_latent_representation(), latent)


def test_the_metacells_hold_the_counts_of_the_query(model, query):
    found = tl.map_query(query, model)
    metacells = model.query_metacells(query, found, label_keys="cell_type")
    assert metacells.layers["counts"].sum() == query.X.sum()
    assert metacells.obs["n_cells"].sum() == query.n_obs
    np.testing.assert_allclose(metacells.layers["decoded"].sum(axis=1), 1e4, rtol=1e-4)
    assert set(metacells.obs_names) == set(query.obs["metacell"])


def test_the_embedding_of_a_query_opens_in_scanpy(model, query):
    tl.map_query(query, model)
    sc.pp.neighbors(query, use_rep="X_scproto")
    assert "neighbors" in query.uns


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda q: q[:, :0].copy(), "None of the model's 150 genes is in the query"),
        (lambda q: q[:, :20].copy(), "of the reference's signal; at most 75% may be missing"),
        (lambda q: q[:0].copy(), "The query has no cells"),
    ],
)
def test_a_query_that_cannot_be_mapped_is_refused(model, query, change, message):
    with pytest.raises(InputError, match=message):
        tl.map_query(change(query), model)


def test_a_batch_key_that_does_not_exist_is_refused(model, query):
    with pytest.raises(InputError, match=r"The query has no column 'donor' in obs: choose among"):
        tl.map_query(query, model, batch_key="donor")


def test_log_values_are_refused(model, query):
    sc.pp.log1p(query)
    with pytest.raises(InputError, match="looks log-normalised"):
        tl.map_query(query, model)
