from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from scipy.stats import false_discovery_control

from scproto import _keys
from scproto._errors import InputError
from scproto.metacells.abundance import compare_counts, reference_sizes
from scproto.metacells.tree import tree_members, ward_tree
from scproto.tl import assign_metacells, compare
from scproto.tl.compare import recorded

N, N_SAMPLES = 12, 8


@pytest.fixture
def metacells() -> AnnData:
    rng = np.random.default_rng(0)
    points = (5 * np.eye(3)[np.arange(N) % 3] + rng.normal(0, 0.3, (N, 3))).astype(np.float32)
    obs = pd.DataFrame({"n_cells": 1}, index=[f"metacell_{i}" for i in range(N)])
    return AnnData(obs=obs, uns={_keys.TREE: ward_tree(points)})


@pytest.fixture
def cells() -> AnnData:
    """Four healthy and four ill donors; metacells 0, 3, 6 and 9, which are a branch, are tripled in the ill ones."""
    rng = np.random.default_rng(1)
    rows = []
    for i in range(N_SAMPLES):
        share = np.exp(rng.normal(0, 0.2, N))
        share[::3] *= 3 if i >= 4 else 1
        rows += [
            (f"metacell_{m}", f"d{i}", "ill" if i >= 4 else "healthy")
            for m in rng.choice(N, 400, p=share / share.sum())
        ]
    obs = pd.DataFrame(rows, columns=[_keys.METACELL, "donor", "disease"], index=[f"c{i}" for i in range(len(rows))])
    return AnnData(obs=obs)


def test_the_table_has_the_figures_of_the_kernel(cells, metacells):
    table = compare(cells, "donor", "disease", metacells=metacells)
    counts = pd.crosstab(cells.obs["donor"], cells.obs[_keys.METACELL])[metacells.obs_names].to_numpy()
    design = np.column_stack([np.ones(8), np.repeat([0, 1], 4)])
    sizes = reference_sizes(counts, design, [1])
    members = tree_members(metacells.uns[_keys.TREE], N)[N:-1]
    assert table["kind"].tolist() == ["metacell"] * N + ["branch"] * (N - 2)
    assert table["group"].tolist() == [*metacells.obs_names, *(f"node_{i}" for i in range(N, 2 * N - 2))]
    for kind, items, n in (("metacell", counts, np.ones(N)), ("branch", counts @ members.T, members.sum(axis=1))):
        part = table[table["kind"] == kind]
        found = compare_counts(items, sizes, design, [1])
        np.testing.assert_allclose(part["logfoldchanges"], found.estimate[0])
        np.testing.assert_allclose(part["pvals"], found.pvalue[0])
        np.testing.assert_allclose(part["pvals_adj"], false_discovery_control(found.pvalue[0]))
        np.testing.assert_allclose(part[["ci_low", "ci_high"]].T, np.concatenate(found.interval()))
        np.testing.assert_array_equal(part["n_metacells"], n)
        np.testing.assert_array_equal(part["n_cells"], items.sum(axis=0))
        np.testing.assert_allclose(part["share"], (items / 400)[4:].mean(axis=0))
        np.testing.assert_allclose(part["share_reference"], (items / 400)[:4].mean(axis=0))


def test_a_tripled_population_is_found_as_a_branch(cells, metacells):
    table = compare(cells, "donor", "disease", metacells=metacells)
    members = tree_members(metacells.uns[_keys.TREE], N)[: len(table)]
    tripled = np.arange(N) % 3 == 0
    line = table[(members == tripled).all(axis=1)].iloc[0]
    assert line["ci_low"] < np.log2(3) < line["ci_high"]
    assert line["pvals_adj"] < 1e-4
    called = (table["pvals_adj"] < 0.05).to_numpy()
    assert members[called][:, tripled].any(axis=1).all()


def test_the_other_direction_has_the_other_sign(cells):
    there, back = (compare(cells, "donor", "disease", reference=name) for name in ("healthy", "ill"))
    np.testing.assert_allclose(there["logfoldchanges"], -back["logfoldchanges"])
    np.testing.assert_allclose(there["pvals"], back["pvals"])
    assert set(back["condition"]) == {"healthy"}
    assert set(there["kind"]) == {"metacell"}


def test_each_other_condition_gets_its_lines(cells, metacells):
    cells.obs["dose"] = cells.obs["donor"].map(lambda name: int(name[1]) % 3)
    table = compare(cells, "donor", "dose", reference="0", metacells=metacells)
    assert table["condition"].tolist() == ["1"] * (2 * N - 2) + ["2"] * (2 * N - 2)
    for _, part in table.groupby(["condition", "kind"]):
        np.testing.assert_allclose(part["pvals_adj"], false_discovery_control(part["pvals"]))


def test_metacells_with_few_cells_are_not_tested(cells, metacells):
    n_cells = cells.obs[_keys.METACELL].value_counts()
    limit = int(n_cells.median())
    table = compare(cells, "donor", "disease", metacells=metacells, min_cells=limit).set_index("group")
    for name, n in n_cells.items():
        assert np.isnan(table.loc[name, "pvals"]) == (n < limit)
    with pytest.raises(InputError, match="No metacell has 5000 cells"):
        compare(cells, "donor", "disease", min_cells=5000)


def test_pairs_remove_the_differences_between_donors(cells):
    rng = np.random.default_rng(2)
    own = np.exp(rng.normal(0, 1, (6, N)))
    rows = []
    for donor in range(6):
        for condition, fold in (("before", 1), ("after", 2)):
            share = own[donor] * np.exp(rng.normal(0, 0.1, N))
            share[0] *= fold
            rows += [(f"metacell_{m}", f"d{donor}", condition) for m in rng.choice(N, 3000, p=share / share.sum())]
    paired = AnnData(
        obs=pd.DataFrame(rows, columns=[_keys.METACELL, "donor", "time"]).set_index(np.arange(len(rows)).astype(str))
    )
    paired.obs["sample"] = paired.obs["donor"] + paired.obs["time"]
    with_donors = compare(paired, "sample", "time", reference="before", donor_key="donor").iloc[0]
    without = compare(paired, "sample", "time", reference="before").iloc[0]
    assert with_donors["pvals_adj"] < 0.01 < without["pvals"]


def test_the_record_survives_a_file(cells, metacells, tmp_path):
    cells.obs["disease"] = cells.obs["disease"].replace("ill", "a/b")
    table = compare(cells, "donor", "disease", metacells=metacells)
    for name, data in (("cells", cells), ("metacells", metacells)):
        data.write_h5ad(tmp_path / name)
        found = recorded(read_h5ad(tmp_path / name))
        pd.testing.assert_frame_equal(found["table"].astype(table.dtypes), table, check_index_type=False)
        assert found["conditions"].tolist() == ["a/b", "healthy"]
        assert found["n_samples"].tolist() == [4, 4]
        assert (found["sample_key"], found["reference"], "block_key" in found) == ("donor", "a/b", False)
    assert recorded(AnnData(obs=cells.obs)) == {}


def test_a_new_assignment_drops_the_record(atlas, model):
    cells = atlas.copy()
    assign_metacells(cells, model)
    cells.obs["sample"] = np.arange(cells.n_obs) % 6
    cells.obs["condition"] = np.where(cells.obs["sample"] < 3, "a", "b")
    compare(cells, "sample", "condition", metacells=model.get_metacells())
    assert recorded(cells)
    assert "n_metacells" in cells.uns[_keys.UNS]
    assign_metacells(cells, model, n=3)
    assert recorded(cells) == {}


@pytest.mark.parametrize("n", [1, 2, 3])
def test_hardly_any_metacells(cells, n):
    points = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
    cells.obs[_keys.METACELL] = [f"metacell_{int(name.split('_')[1]) % n}" for name in cells.obs[_keys.METACELL]]
    obs = pd.DataFrame({"n_cells": 1}, index=[f"metacell_{i}" for i in range(n)])
    table = compare(cells, "donor", "disease", metacells=AnnData(obs=obs, uns={_keys.TREE: ward_tree(points)}))
    assert len(table) == n + max(0, n - 2)
    assert table["pvals"].between(0, 1).all()
    assert (table["ci_low"] <= table["logfoldchanges"]).all()


def test_bad_input_is_refused(cells, metacells):
    with pytest.raises(InputError, match="no metacells to compare"):
        compare(AnnData(obs=cells.obs[["donor", "disease"]]), "donor", "disease")
    with pytest.raises(InputError, match="min_cells=0"):
        compare(cells, "donor", "disease", min_cells=0)
    with pytest.raises(InputError, match="same level"):
        compare(cells, "donor", "disease", metacells=metacells[1:].copy())
    with pytest.raises(InputError, match="give all that"):
        compare(
            cells[cells.obs[_keys.METACELL] != "metacell_0"].copy(), "donor", "disease", metacells=metacells[1:].copy()
        )
