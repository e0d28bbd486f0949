"""Cells are placed once, and what is kept never goes out of date."""

from __future__ import annotations

import numpy as np
import pytest

from scproto._errors import InputError
from scproto.metacells import assign
from scproto.metrics import agreement
from scproto.model import SCPROTO
from scproto.model.placement import Placement
from scproto.tl import assign_metacells


def test_training_ends_with_the_placement_of_the_trained_model(atlas, model, tmp_path):
    model.save(tmp_path / "model")
    loaded = SCPROTO.load(tmp_path / "model", atlas.copy())
    np.testing.assert_array_equal(model.place().unit, loaded.place().unit)
    np.testing.assert_array_equal(model.place().prototypes, loaded.prototypes)


def test_own_cells_are_placed_once_and_others_each_time(atlas, model):
    assert model.place() is model.place(atlas)
    assert model.place() is not model.place(atlas.copy())


def test_other_cells_are_placed_anew_and_so_are_all_after_another_training(atlas, fit_small):
    adata = atlas.copy()
    model = fit_small(adata, max_steps=4)
    before = model.place()
    model.adata = adata[:90].copy()
    assert len(model.place().unit) == 90
    model.adata = adata
    model.train(4, accelerator="cpu", enable_progress_bar=False, batch_size=32)
    assert not np.array_equal(model.place().unit, before.unit)


def test_cells_that_were_subset_in_place_are_placed_anew(atlas, fit_small):
    adata = atlas.copy()
    model = fit_small(adata, max_steps=4)
    expected = model.get_latent_representation()[:90]
    adata._inplace_subset_obs(np.arange(90))
    np.testing.assert_allclose(model.get_latent_representation(), expected, atol=1e-5)


def test_changing_results_does_not_change_what_is_kept(atlas, fit_small):
    adata = atlas.copy()
    model = fit_small(adata, max_steps=4)
    expected = model.get_latent_representation()
    model.get_latent_representation()[:] = 0
    assign_metacells(adata, model)
    adata.obsm["X_scproto"][:] = 0
    adata.obsm["metacell_probability"].data[:] = 0
    np.testing.assert_array_equal(model.get_latent_representation(), expected)
    assign_metacells(adata, model)
    assert adata.obsm["metacell_probability"].max() > 0


@pytest.mark.parametrize("n", [None, 1, 3])
def test_metacells_of_a_level_are_those_of_its_prototypes(n):
    rng = np.random.default_rng(0)
    unit, prototypes = (rng.normal(size=(n_rows, 3)).astype(np.float32) for n_rows in (20, 6))
    unit, prototypes = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (unit, prototypes))
    placement = Placement(unit, prototypes, unit, prototypes)
    level = placement.level(n)
    found, expected = placement.assign(level), assign(unit, prototypes, level.group)
    np.testing.assert_array_equal(found.metacell, expected.metacell)
    np.testing.assert_array_equal(found.confidence, expected.confidence)
    assert placement.assign(placement.level(n)) is found


def test_a_missing_level_is_refused(model):
    with pytest.raises(InputError, match="no level with n=99 metacells"):
        model.place().level(99)


def test_a_restart_with_the_seed_of_the_model_gives_its_metacells_up_to_names(atlas, model):
    """Only the weights differ: those of the training come from the prototypes before the last k-means."""
    placement = model.place(atlas)
    own = placement.assign(placement.level()).metacell
    assert agreement(own, [placement.restart(None, model.seed)]) > agreement(own, [placement.restart(None, 5)])
    assert placement.restart(3, 5).max() < 3
