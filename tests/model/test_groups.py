"""Batches that behave alike are one batch to the network, and stay batches to the user."""

from __future__ import annotations

import numpy as np
import pytest

from scproto import SCPROTO, pp, tl


@pytest.fixture(scope="module")
def parts(raw_atlas):
    """The three batches of the atlas, each cut at random into four."""
    adata = raw_atlas.copy()
    part = np.random.default_rng(0).integers(0, 4, adata.n_obs)
    adata.obs["part"] = adata.obs["batch"].astype(str) + "_" + part.astype(str)
    adata.obs["whole"] = adata.obs["batch"].astype(str)
    pp.prepare(adata, "part", n_top_genes=60)
    return adata


@pytest.fixture(scope="module")
def model(parts, fit_small):
    return fit_small(parts)


def test_the_fit_equals_that_of_the_whole_batches(parts, model, raw_atlas, fit_small):
    whole = raw_atlas.copy()
    pp.prepare(whole, "batch", n_top_genes=60)
    np.testing.assert_allclose(
        model.get_latent_representation(), fit_small(whole).get_latent_representation(), atol=1e-3
    )


def test_metacells_tell_the_batches_of_the_user(parts, model):
    tl.assign_metacells(parts, model)
    metacells = model.get_metacells(decode_batches=["batch_0_1", "batch_0_2", "batch_1_1"])
    shares = [f"share_{name}" for name in sorted(parts.obs["part"].unique())]
    assert set(shares) <= set(metacells.obs)
    np.testing.assert_allclose(metacells.obs[shares].sum(axis=1), 1, rtol=1e-5)
    one, two, other = (metacells.layers[f"decoded_batch_{name}"] for name in ("0_1", "0_2", "1_1"))
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, other)


def test_cells_of_some_batches_are_placed_as_before(parts, model):
    some = parts[parts.obs["part"].isin(["batch_2_3", "batch_0_1"])].copy()
    expected = model.get_latent_representation()[parts.obs_names.get_indexer(some.obs_names)]
    np.testing.assert_allclose(model.get_latent_representation(some), expected, atol=1e-6)


def test_groups_are_saved_with_the_model(parts, model, tmp_path):
    model.save(tmp_path / "model")
    loaded = SCPROTO.load(tmp_path / "model", parts)
    assert loaded.reader.groups == model.reader.groups
    assert loaded.reader.n_groups == 3
    np.testing.assert_array_equal(loaded.get_latent_representation(), model.get_latent_representation())


def test_a_batch_without_cells_after_prepare_does_no_harm(parts, fit_small):
    few = parts[parts.obs["part"] != "batch_1_0"].copy()
    few.obs["scproto_batch"] = few.obs["scproto_batch"].cat.set_categories(parts.obs["scproto_batch"].cat.categories)
    assert np.isfinite(fit_small(few).get_latent_representation()).all()
