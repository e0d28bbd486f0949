from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad

from scproto import _keys
from scproto._errors import InputError
from scproto.metrics import agreement, best_overlap
from scproto.model.placement import Placement
from scproto.tl import assign_metacells, stability
from scproto.tl.stability import recorded


@pytest.fixture
def cells(atlas, model) -> AnnData:
    cells = atlas.copy()
    assign_metacells(cells, model)
    return cells


@pytest.mark.parametrize("n", [None, 3])
def test_figures_are_those_of_the_repeated_k_means(cells, model, n):
    assign_metacells(cells, model, n=n)
    found = stability(cells, model, n_repeats=2)
    others = [model.place(cells).restart(n, seed) for seed in (1, 2)]
    own = cells.obs[_keys.METACELL].astype(str)
    assert found.index.tolist() == sorted(set(own))
    np.testing.assert_array_equal(found, best_overlap(own, others))
    record = cells.uns[_keys.UNS][_keys.STABILITY]
    assert record["agreement"] == agreement(own, others)
    assert (record["n_others"], record["trained"]) == (2, False)
    assert 0.3 < record["agreement"] <= 1


def test_cells_far_apart_are_stable_and_a_cloud_is_not():
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.eye(4, dtype=np.float32), 50, axis=0)
    apart = kinds + rng.normal(scale=0.01, size=kinds.shape).astype(np.float32)
    for unit, stable in ((apart, True), (rng.normal(size=(200, 4)).astype(np.float32), False)):
        unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        placement = Placement(unit, np.eye(4), unit, np.eye(4, dtype=np.float32))
        model = SimpleNamespace(seed=2**32 - 1, prototypes=placement.prototypes, place=lambda _, p=placement: p)
        cells = AnnData(obs=pd.DataFrame(index=[f"c{i}" for i in range(200)]), uns={_keys.UNS: {"n_metacells": 4}})
        names = [f"metacell_{i}" for i in placement.assign(placement.level()).metacell]
        cells.obs[_keys.METACELL] = pd.Categorical(names)
        assert (stability(cells, model) == 1).all() == stable
        assert cells.uns[_keys.UNS][_keys.STABILITY]["n_others"] == 4


def test_other_models_are_used_one_at_a_time(cells, model):
    used = []

    def others():
        for _ in range(2):
            assert all(used)
            used.append(False)
            yield model
            used[-1] = True

    assert (stability(cells, model, others=others()) == 1).all()
    assert used == [True, True]
    assert cells.uns[_keys.UNS][_keys.STABILITY]["trained"]


def test_many_cells_are_repeated_less_often(cells, model, monkeypatch):
    monkeypatch.setattr(import_module("scproto.tl.stability"), "WORK", 2 * cells.n_obs * 6)
    stability(cells, model)
    assert cells.uns[_keys.UNS][_keys.STABILITY]["n_others"] == 3
    monkeypatch.setattr(import_module("scproto.tl.stability"), "WORK", 0)
    stability(cells, model)
    assert cells.uns[_keys.UNS][_keys.STABILITY]["n_others"] == 1


def test_the_record_survives_a_file_and_a_choice_of_cells(cells, model, tmp_path):
    found = stability(cells, model)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    read = read_h5ad(tmp_path / "cells.h5ad")
    first = found.index[0]
    for adata, expected in ((read, found), (read[read.obs[_keys.METACELL] != first], found[1:])):
        np.testing.assert_array_equal(recorded(adata)["overlap"], expected)


def test_another_assignment_drops_the_record(cells, model):
    stability(cells, model)
    assign_metacells(cells, model, n=3)
    assert recorded(cells) == {}


def test_bad_input_is_refused(atlas, cells, model):
    with pytest.raises(InputError, match="no metacells to compare"):
        stability(atlas, model)
    with pytest.raises(InputError, match="n_repeats"):
        stability(cells, model, n_repeats=0)
    with pytest.raises(InputError, match="no other assignment"):
        stability(cells, model, others=[])
