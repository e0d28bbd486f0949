from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad

from scproto import _keys
from scproto._errors import InputError
from scproto.metacells.assignment import assign
from scproto.model.placement import Placement
from scproto.tl import assign_metacells


@pytest.fixture
def model() -> SimpleNamespace:
    """The parts of a model that assign_metacells uses: four prototypes, one of them without cells."""
    prototypes = np.eye(4, dtype=np.float32)
    unit = np.random.default_rng(0).normal(scale=0.1, size=(9, 4)).astype(np.float32)
    unit[np.arange(9), [0, 1, 3] * 3] += 1
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    return SimpleNamespace(
        prototypes=prototypes,
        loadings_of=lambda genes: np.ones((len(genes), 2), np.float32),
        init_params_={"n_prototypes": 4, "seed": 0},
        place=lambda adata: Placement(2 * unit[: adata.n_obs], 2 * prototypes, unit[: adata.n_obs], prototypes),
    )


@pytest.fixture
def cells() -> AnnData:
    obs = pd.DataFrame({"batch": "a"}, index=[f"c{i}" for i in range(9)])
    return AnnData(obs=obs, var=pd.DataFrame(index=["g0", "g1", "g2"]), uns={_keys.UNS: {"version": "0.1"}})


def test_assignment_and_embedding_are_written(cells, model):
    assign_metacells(cells, model)
    unit = model.place(cells).unit
    expected = assign(unit, model.prototypes)
    assert cells.obs[_keys.METACELL].tolist() == ["metacell_0", "metacell_1", "metacell_3"] * 3
    assert cells.obs[_keys.METACELL].cat.categories.tolist() == ["metacell_0", "metacell_1", "metacell_3"]
    np.testing.assert_array_equal(cells.obs[_keys.CONFIDENCE], expected.confidence)
    np.testing.assert_array_equal(cells.obs[_keys.DISTANCE], expected.distance)
    np.testing.assert_array_equal(cells.obs[_keys.OUTLIER], expected.outlier)
    np.testing.assert_array_equal(cells.obsm[_keys.LATENT], 2 * unit)
    np.testing.assert_array_equal(cells.obsm[_keys.SPHERE], unit)
    np.testing.assert_array_equal(cells.varm[_keys.AXES], np.ones((3, 2)))
    np.testing.assert_array_equal(cells.obsm[_keys.PROBABILITY].toarray(), expected.probability.toarray())
    assert cells.obs[_keys.CONFIDENCE].between(0, 1).all()
    assert cells.obs[_keys.OUTLIER].dtype == bool
    assert cells.uns[_keys.UNS] == {"version": "0.1", "model": {"n_prototypes": 4, "seed": 0}, "n_metacells": 4}


def test_omicverse_keys_are_names_and_confidences(cells, model):
    """omicverse.single.MetaCell reads a categorical of strings that names metacells, and a number in [0, 1]."""
    assign_metacells(cells, model)
    assert "metacell_id" not in cells.obs
    assign_metacells(cells, model, omicverse_keys=True)
    pd.testing.assert_series_equal(cells.obs["metacell_id"], cells.obs[_keys.METACELL], check_names=False)
    pd.testing.assert_series_equal(cells.obs["metacell_conf"], cells.obs[_keys.CONFIDENCE], check_names=False)
    assert isinstance(cells.obs["metacell_id"].dtype, pd.CategoricalDtype)
    assert all(isinstance(name, str) for name in cells.obs["metacell_id"].cat.categories)
    assert cells.obs["metacell_conf"].dtype == np.float32
    assert cells.obs["metacell_conf"].between(0, 1).all()


def test_a_second_call_replaces_the_results_of_the_first(cells, model):
    assign_metacells(cells, model)
    first = cells.copy()
    assign_metacells(cells, model)
    pd.testing.assert_frame_equal(cells.obs, first.obs)


def test_coarser_level(cells, model):
    assign_metacells(cells, model)
    finest = cells.copy()
    assign_metacells(cells, model, n=2)
    assert cells.uns[_keys.UNS]["n_metacells"] == 2
    assert cells.obsm[_keys.PROBABILITY].shape == (9, 2)
    assert set(cells.obs[_keys.METACELL]) <= {"metacell_0_of_2", "metacell_1_of_2"}
    pairs = set(zip(finest.obs[_keys.METACELL], cells.obs[_keys.METACELL], strict=True))
    assert len(pairs) == 3  # each fine metacell lies in one coarse metacell
    np.testing.assert_array_equal(cells.obs[_keys.DISTANCE], finest.obs[_keys.DISTANCE])
    assert (cells.obs[_keys.CONFIDENCE] >= finest.obs[_keys.CONFIDENCE] - 1e-6).all()


@pytest.mark.parametrize("n", [0, 5, 2.0, True, "2"])
def test_a_level_that_does_not_exist_is_refused(cells, model, n):
    with pytest.raises(InputError, match="choose a whole number from 1 to 4, its number of prototypes"):
        assign_metacells(cells, model, n=n)
    assert _keys.METACELL not in cells.obs


def test_results_are_the_same_after_writing_and_reading(cells, model, tmp_path):
    assign_metacells(cells, model)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    read = read_h5ad(tmp_path / "cells.h5ad")
    # pandas 3 reads text as its own string type
    loose = {"check_index_type": False, "check_column_type": False, "check_categorical": False}
    pd.testing.assert_frame_equal(read.obs, cells.obs, **loose)
    assert (read.obsm[_keys.PROBABILITY] != cells.obsm[_keys.PROBABILITY]).nnz == 0


def test_columns_of_the_user_are_kept_under_another_name(cells, model, caplog):
    cells.obs["metacell"] = cells.obs["metacell_id"] = "mine"
    cells.obsm["X_scproto"] = np.zeros((9, 2))
    assign_metacells(cells, model, omicverse_keys=True)
    assert cells.obs["metacell_input"].eq("mine").all()
    assert cells.obs["metacell_id_input"].eq("mine").all()
    assert not cells.obsm["X_scproto_input"].any()
    assert cells.obs["metacell"].tolist() == ["metacell_0", "metacell_1", "metacell_3"] * 3
    assert 'Your obs["metacell"] is now obs["metacell_input"]' in caplog.text
    first = cells.copy()
    assign_metacells(cells, model, omicverse_keys=True)  # replaces its own columns
    pd.testing.assert_frame_equal(cells.obs, first.obs)


def test_results_from_before_a_second_prepare_are_replaced(cells, model, caplog):
    assign_metacells(cells, model)
    cells.uns[_keys.UNS] = {"version": "0.1"}
    assign_metacells(cells, model)
    assert not [column for column in cells.obs if column.endswith("_input")]
    assert not caplog.records


def test_names_are_python_strings(cells, model):
    assign_metacells(cells, model)
    assert cells.obs[_keys.METACELL].cat.categories.dtype == object
