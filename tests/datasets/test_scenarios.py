from __future__ import annotations

from typing import get_args

import numpy as np
import pandas as pd
import pytest
import scanpy as sc

from scproto._errors import InputError
from scproto.datasets import simulate_scenario
from scproto.datasets._scenarios import Scenario


def table(adata) -> np.ndarray:
    return pd.crosstab(adata.obs["batch"], adata.obs["cell_type"], dropna=False).to_numpy()


def test_missing_types():
    adata = simulate_scenario("missing_types", 1800, 20)
    np.testing.assert_array_equal(table(adata), [[100] * 6] * 2 + [[200, 0] * 3])
    assert adata.uns["scenario"]["types"] == ["type_1", "type_3", "type_5"]
    assert set(adata.obs.loc[adata.obs["focus"], "batch"]) == {"batch_2"}
    assert adata.obs["focus"].sum() == 600


def test_private_type():
    adata = simulate_scenario("private_type", 1800, 20)
    np.testing.assert_array_equal(table(adata), [[120] * 5 + [0]] * 2 + [[100] * 6])
    assert adata.uns["scenario"]["batch"] == "batch_2"
    assert set(adata.obs.loc[adata.obs["focus"], "cell_type"]) == set(adata.uns["scenario"]["types"]) == {"type_5"}
    assert adata.obs["focus"].sum() == 100


@pytest.mark.parametrize(("n_cells", "n_rare"), [(1500, 3), (6000, 12), (15_000, 30)])
def test_rare_type_is_two_cells_per_thousand_in_each_batch(n_cells, n_rare):
    adata = simulate_scenario("rare_type", n_cells, 5)
    np.testing.assert_array_equal(table(adata)[:, -1], [n_rare // 3] * 3)
    assert np.ptp(table(adata)[:, :-1]) <= 1
    assert (adata.obs["focus"] == (adata.obs["cell_type"] == "type_5")).all()


def test_tiny_batch():
    adata = simulate_scenario("tiny_batch", 15_030, 5)
    np.testing.assert_array_equal(table(adata).sum(axis=1), [5000] * 3 + [30])
    np.testing.assert_array_equal(table(adata)[-1], [5] * 6)
    assert (adata.obs["focus"] == (adata.obs["batch"] == adata.uns["scenario"]["batch"])).all()


@pytest.mark.parametrize("name", get_args(Scenario))
def test_any_number_of_cells_gives_a_focus(name):
    for n_cells in (1500, 1501, 1999, 2222):
        adata = simulate_scenario(name, n_cells, 5)
        assert adata.n_obs == n_cells
        assert adata.obs["focus"].any()


@pytest.mark.parametrize("name", get_args(Scenario))
def test_the_seed_determines_the_result_and_it_can_be_written(name, tmp_path):
    first, again, other = (simulate_scenario(name, 1500, 20, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.X.toarray(), again.X.toarray())
    assert first.obs.equals(again.obs)
    assert (first.X != other.X).nnz > 0
    first.write_h5ad(tmp_path / "atlas.h5ad")
    read = sc.read_h5ad(tmp_path / "atlas.h5ad")
    assert {key: list(value) for key, value in read.uns["scenario"].items()} == {
        key: list(value) for key, value in first.uns["scenario"].items()
    }


@pytest.mark.parametrize(
    ("name", "n_cells", "message"),
    [("odd_batch", 2000, "choose one of missing_types"), ("tiny_batch", 1499, "give at least 1500")],
)
def test_impossible_scenarios_are_refused(name, n_cells, message):
    with pytest.raises(InputError, match=message):
        simulate_scenario(name, n_cells)
