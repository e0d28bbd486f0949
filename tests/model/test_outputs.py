from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scproto import _keys
from scproto._errors import InputError
from scproto.metacells.assignment import assign
from scproto.tl import assign_metacells


def test_columns(metacells):
    assert metacells.obs.columns.tolist() == [
        "n_cells",
        "n_counts",
        "share_batch_0",
        "share_batch_1",
        "share_batch_2",
        "batch_entropy",
        "cell_type",
        "cell_type_share",
        "confidence",
        "tree_parent",
    ]
    assert set(metacells.layers) - {None} == {"decoded", "decoded_batch_2", "counts"}  # None: X, as of anndata 0.13
    assert metacells.uns[_keys.TREE].shape == (metacells.n_obs - 1, 4)


def test_every_count_is_in_one_metacell(atlas, metacells):
    assert metacells.obs["n_cells"].sum() == atlas.n_obs
    np.testing.assert_allclose(metacells.layers["counts"].sum(0), atlas.X.sum(0))
    np.testing.assert_allclose(metacells.obs["n_counts"], np.ravel(metacells.layers["counts"].sum(1)))


def test_expression_is_cp10k(metacells):
    np.testing.assert_allclose(metacells.X.sum(1), 1e4, rtol=1e-4)
    assert (metacells.X >= 0).all()
    np.testing.assert_array_equal(metacells.X, metacells.layers["decoded"])


def test_names_and_confidence_agree_with_the_cells(atlas, model, metacells):
    adata = atlas.copy()
    assign_metacells(adata, model)
    assert adata.obs[_keys.METACELL].cat.categories.tolist() == metacells.obs_names.tolist()
    by_cell = adata.obs.groupby(_keys.METACELL, observed=True)
    np.testing.assert_array_equal(by_cell.size(), metacells.obs["n_cells"])
    np.testing.assert_allclose(by_cell[_keys.CONFIDENCE].mean(), metacells.obs["confidence"], rtol=1e-5)
    assert adata.obs[_keys.CONFIDENCE].min() >= 1 / 10 - 1e-6  # the nearest of ten is the most probable


def test_prototypes_decode_as_the_mean_over_the_batches(model, metacells):
    """The modelled genes share their part of the metacell in the decoder's proportions."""
    known = metacells.var[_keys.GENES].to_numpy()
    shares = metacells.X[:, known] / metacells.X[:, known].sum(1, keepdims=True)
    nearest = assign(model.get_latent_representation(sphere=True), model.prototypes).nearest
    by_batch = [model._decode(model.prototypes, b)[np.unique(nearest)] for b in range(3)]
    np.testing.assert_allclose(shares, np.mean(by_batch, axis=0), rtol=1e-3, atol=1e-7)
    second = metacells.layers["decoded_batch_2"][:, known]
    np.testing.assert_allclose(second / second.sum(1, keepdims=True), by_batch[2], rtol=1e-3, atol=1e-7)


def test_genes_in_another_order(atlas, model, metacells):
    order = np.random.default_rng(0).permutation(atlas.n_vars)
    other = model.get_metacells(atlas[:, order].copy(), decode_batches=["batch_2"])
    np.testing.assert_allclose(other[:, metacells.var_names].X, metacells.X, rtol=1e-3)
    np.testing.assert_allclose(
        other[:, metacells.var_names].layers["decoded_batch_2"], metacells.layers["decoded_batch_2"], rtol=1e-3
    )


def test_cells_that_lack_a_batch(atlas, model):
    subset = atlas[atlas.obs["batch"] != "batch_1"].copy()
    obs = model.get_metacells(subset).obs
    assert obs.get("share_batch_1", pd.Series(0)).eq(0).all()
    assert obs["batch_entropy"].between(0, 1).all()
    assert obs["n_cells"].sum() == subset.n_obs


def test_unknown_label_or_batch(model):
    with pytest.raises(InputError, match="no column 'colour' in obs"):
        model.get_metacells(label_keys=["colour"])
    with pytest.raises(InputError, match="no batch 'moon'; it knows batch_0, batch_1, batch_2"):
        model.get_metacells(decode_batches=["moon"])


def test_levels_of_one_fit(atlas, model, metacells):
    finest = model.get_metacells(n=10, label_keys=["cell_type"], decode_batches=["batch_2"])
    np.testing.assert_array_equal(finest.X, metacells.X)
    pd.testing.assert_frame_equal(finest.obs, metacells.obs)
    coarse, one = model.get_metacells(n=4), model.get_metacells(n=1)
    assert one.obs_names.tolist() == ["metacell_0_of_1"]
    for level in (coarse, one):
        np.testing.assert_allclose(level.layers["counts"].sum(0), atlas.X.sum(0))
        np.testing.assert_allclose(np.linalg.norm(level.obsm[_keys.SPHERE], axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(level.X.sum(1), 1e4, rtol=1e-4)
    adata = atlas.copy()
    assign_metacells(adata, model, n=4)
    assert adata.obs[_keys.METACELL].cat.categories.tolist() == coarse.obs_names.tolist()
    with pytest.raises(InputError, match="choose a whole number from 1 to 10"):
        model.get_metacells(n=11)


def test_a_single_name_works_like_a_list_of_one(model, metacells):
    one = model.get_metacells(label_keys="cell_type", decode_batches="batch_2")
    pd.testing.assert_frame_equal(one.obs, metacells.obs)
    assert set(one.layers) == set(metacells.layers)
