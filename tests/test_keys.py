"""Names of what scproto writes when the data already use them."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st

from scproto import _keys
from scproto._keys import free_name, key_parts, label_column, label_columns, set_aside, share_of

names = st.text("ab/|_2.", max_size=4)
label_names = st.one_of(names, st.sampled_from([*_keys.SIZES, "share_a", "x", "x_share", "x_share_share", "x_label"]))


def test_without_a_collision_the_parts_are_the_names():
    assert key_parts(["lab a", "", ".", "10x/v3"]) == {"lab a": "lab a", "": "", ".": ".", "10x/v3": "10x|v3"}


def test_a_name_without_a_slash_stays_as_it_is():
    assert key_parts(["A/B", "A|B"]) == {"A/B": "A|B_2", "A|B": "A|B"}
    assert key_parts(["A/B", "A|B", "A|B_2"])["A/B"] == "A|B_3"


@given(st.lists(names, unique=True, max_size=8))
def test_parts_are_different_and_without_a_slash(batches):
    parts = key_parts(batches)
    assert list(parts) == batches
    assert len(set(parts.values())) == len(batches)
    assert not any("/" in part for part in parts.values())
    assert all(parts[name] == name for name in batches if "/" not in name)


@pytest.mark.parametrize("name", [*_keys.SIZES, "share_a", "", ".", "_index"])
def test_a_label_with_a_reserved_name_gets_another_column(name):
    assert label_columns([name], ["a"]) == {name: f"{name}_label"}


def test_labels_keep_their_names_if_possible():
    assert label_columns(["cell_type", "share_b", "cell_type"], ["a"]) == {
        "cell_type": "cell_type",
        "share_b": "share_b",
    }
    assert label_columns(["x", "x_share"], []) == {"x": "x", "x_share": "x_share_label"}
    assert label_columns(["cell/type"], []) == {"cell/type": "cell|type"}
    assert label_columns(["n_cells", "n_cells_label"], [])["n_cells"] == "n_cells_label"


@given(st.lists(label_names, max_size=8), st.lists(names, unique=True, max_size=4))
def test_no_two_columns_of_the_metacells_share_a_name(label_keys, batches):
    columns = label_columns(label_keys, batches)
    assert set(columns) == set(label_keys)
    found = [*columns.values(), *map(share_of, columns.values())]
    found += [*_keys.SIZES, *(_keys.SHARE + part for part in key_parts(batches).values())]
    assert len(set(found)) == len(found)
    assert not any("/" in name for name in found)
    assert set(found).isdisjoint(_keys.UNSTORABLE)


def test_a_taken_name_gets_the_suffix_and_then_a_number():
    assert free_name("x", {"y"}, "_input") == "x"
    assert free_name("x", {"x"}, "_input") == "x_input"
    assert free_name("x", {"x", "x_input"}, "_input") == "x_input_2"


@pytest.fixture
def cells() -> AnnData:
    """Cells whose columns use scproto's names."""
    obs = pd.DataFrame({"metacell": ["SEACell-1", "SEACell-2"], "metacell_input": 1, "kind": "T"}, index=["a", "b"])
    return AnnData(obs=obs, obsm={"X_scproto": np.ones((2, 3))})


def test_columns_of_the_user_are_renamed_with_a_warning(cells, caplog):
    mine = cells.copy()
    assert set_aside(cells) == {"metacell": "metacell_input_2", "X_scproto": "X_scproto_input"}
    assert set(cells.obs) == {"metacell_input", "metacell_input_2", "kind"}
    assert cells.obs["metacell_input_2"].tolist() == mine.obs["metacell"].tolist()
    np.testing.assert_array_equal(cells.obsm["X_scproto_input"], mine.obsm["X_scproto"])
    assert "X_scproto" not in cells.obsm
    assert 'Your obs["metacell"] is now obs["metacell_input_2"]' in caplog.text
    assert caplog.records[0].levelno == logging.WARNING
    assert set_aside(cells) == {}


def test_columns_that_scproto_wrote_are_not_renamed(cells, caplog):
    recorded = cells.copy()
    recorded.uns[_keys.UNS] = {"n_metacells": 2}
    assert set_aside(recorded) == {}
    for key in _keys.WRITTEN_OBS:  # pp.prepare forgets the record
        cells.obs[key] = 0
    cells.obsm[_keys.PROBABILITY] = np.ones((2, 2))
    assert set_aside(cells) == {}
    assert not caplog.records


def test_omicverse_keys_are_renamed_only_if_they_will_be_written(cells):
    cells.obs["metacell_id"] = "mine"
    cells.uns[_keys.UNS] = {"n_metacells": 2}
    assert set_aside(cells) == {}
    assert set_aside(cells, omicverse=True) == {"metacell_id": "metacell_id_input"}
    cells.obs["metacell_id"] = cells.obs["metacell"].astype("category")
    assert set_aside(cells, omicverse=True) == {}


def table(uns: dict) -> AnnData:
    obs = pd.DataFrame(
        {
            "n_cells": [1, 2],
            "share_A|B": [0.5, 0.5],
            "share_A|B_2": [0.5, 0.5],
            "n_cells_label": ["few", "many"],
            "n_cells_label_share": [1.0, 1.0],
            "leiden": ["0", "1"],
        },
        index=["metacell_0", "metacell_1"],
    )
    return AnnData(obs=obs, uns=uns)


def test_columns_are_found_by_their_batch_or_label():
    record = {"batches": {"share_A|B_2": "A/B", "share_A|B": "A|B", "share_gone": "gone"}}
    metacells = table({_keys.NAMES: record | {"labels": {"n_cells_label": "n_cells"}}})
    assert _keys.batches_by_column(metacells) == {"share_A|B": "A|B", "share_A|B_2": "A/B"}
    assert _keys.labels_by_column(metacells) == {"n_cells_label": "n_cells"}
    assert label_column(metacells, "n_cells") == "n_cells_label"
    assert label_column(metacells, "leiden") == "leiden"  # added by the user
    assert label_column(metacells, "cell_type") is None
    assert label_column(metacells, "n_cells_label_share") is None


def test_without_a_record_the_names_of_the_columns_decide():
    metacells = table({})
    assert _keys.batches_by_column(metacells) == {"share_A|B": "A|B", "share_A|B_2": "A|B_2"}
    assert _keys.labels_by_column(metacells) == {"n_cells_label": "n_cells_label"}
    assert label_column(metacells, "n_cells") is None
