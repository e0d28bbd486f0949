from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from scproto import _keys
from scproto._errors import InputError
from scproto.metacells.tree import tree_members, ward_tree
from scproto.tl import compare_expression, pseudobulk

N, N_GENES = 6, 40


@pytest.fixture
def metacells() -> AnnData:
    points = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
    return AnnData(
        obs=pd.DataFrame({"n_cells": 1}, index=[f"metacell_{i}" for i in range(N)]), uns={_keys.TREE: ward_tree(points)}
    )


@pytest.fixture
def cells() -> AnnData:
    """Four healthy and four ill donors with 60 cells each; gene 0 is four times as high in the ill ones."""
    rng = np.random.default_rng(1)
    n = 480
    donor = np.arange(n) % 8
    rate = rng.gamma(2, 2, N_GENES) * np.exp(rng.normal(0, 0.1, (8, N_GENES)))
    rate[4:, 0] *= 4
    counts = sp.csr_matrix(rng.poisson(rate[donor]).astype(np.float32))
    obs = pd.DataFrame(
        {_keys.METACELL: [f"metacell_{i}" for i in rng.integers(0, N, n)]}, index=[f"c{i}" for i in range(n)]
    )
    obs["donor"], obs["disease"] = [f"d{i}" for i in donor], np.where(donor < 4, "healthy", "ill")
    return AnnData(counts, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(N_GENES)]))


def test_sums_equal_a_loop(cells, metacells):
    found = pseudobulk(cells, "donor", metacells=metacells)
    dense = cells.X.toarray()
    assert found.obs_names.is_unique
    assert found.X.sum() == dense.sum()
    for row, obs in zip(found.X.toarray(), found.obs.itertuples(), strict=True):
        own = (cells.obs["donor"] == obs.sample) & (cells.obs[_keys.METACELL] == obs.group)
        np.testing.assert_array_equal(row, dense[own].sum(axis=0))
        assert obs.n_cells == own.sum()
        assert obs.disease == ("healthy" if obs.sample < "d4" else "ill")
    assert _keys.METACELL not in found.obs


@pytest.mark.parametrize("n", [1, 3, N])
def test_groups_are_branches_of_the_tree(cells, metacells, n):
    found = pseudobulk(cells, "donor", n, metacells=metacells)
    members = tree_members(metacells.uns[_keys.TREE], N)
    names = [*metacells.obs_names, *(f"node_{i}" for i in range(N, 2 * N - 1))]
    groups = found.obs["group"].unique()
    assert len(groups) == n
    covered = np.zeros(N, dtype=int)
    for group in groups:
        inside = members[names.index(group)]
        covered += inside
        own = cells.obs[_keys.METACELL].isin(metacells.obs_names[inside])
        rows = found[found.obs["group"] == group]
        assert rows.obs["n_cells"].sum() == own.sum()
        assert rows.X.sum() == cells.X[own.to_numpy()].sum()
    np.testing.assert_array_equal(covered, 1)


def test_bad_sums_are_refused(cells, metacells):
    with pytest.raises(InputError, match="no metacells"):
        pseudobulk(AnnData(obs=cells.obs[["donor"]]), "donor")
    with pytest.raises(InputError, match="'person'"):
        pseudobulk(cells, "person")
    with pytest.raises(InputError, match="n needs the tree"):
        pseudobulk(cells, "donor", 3)
    with pytest.raises(InputError, match="n=7"):
        pseudobulk(cells, "donor", 7, metacells=metacells)


def test_without_the_extra_one_sentence_says_what_to_install(cells, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydeseq2", None)
    with pytest.raises(ImportError, match=r"scproto\[cohort\]"):
        compare_expression(pseudobulk(cells, "donor"), "disease")


@pytest.fixture
def deseq() -> None:
    pytest.importorskip("pydeseq2")


@pytest.mark.usefixtures("deseq")
def test_a_changed_gene_is_found_in_each_group(cells, metacells, capsys):
    sums = pseudobulk(cells, "donor", 2, metacells=metacells)
    table = compare_expression(sums, "disease", min_cells=3)
    assert set(table["group"]) == set(sums.obs["group"])
    for _, part in table.groupby("group"):
        first = part.iloc[0]
        assert first["names"] == "g0"
        assert first["logfoldchanges"] == pytest.approx(2, abs=4 * first["error"])
        assert (part["pvals_adj"] < 0.05).sum() <= 4
    assert not capsys.readouterr().out


@pytest.mark.usefixtures("deseq")
def test_groups_without_enough_samples_are_left_out(cells, metacells, caplog):
    rare = (cells.obs[_keys.METACELL] == "metacell_0") & (cells.obs["disease"] == "ill")
    sums = pseudobulk(cells[~rare].copy(), "donor", metacells=metacells)
    table = compare_expression(sums, "disease", min_cells=3)
    assert set(table["group"]) == {f"metacell_{i}" for i in range(1, N)}
    assert "metacell_0 is left out" in caplog.text
    with pytest.raises(InputError, match="No group has enough"):
        compare_expression(sums, "disease", min_cells=1000)


@pytest.mark.usefixtures("deseq")
def test_donors_in_both_conditions_enter_the_design(cells):
    cells.obs["time"] = np.where(np.arange(cells.n_obs) // 8 % 2, "after", "before")
    cells.obs["sample"] = cells.obs["donor"] + cells.obs["time"]
    sums = pseudobulk(cells, "sample")
    table = compare_expression(sums, "time", donor_key="donor", min_cells=2)
    assert (table["pvals_adj"] < 0.05).mean() < 0.05


@pytest.mark.usefixtures("deseq")
def test_other_tables_are_refused(cells):
    with pytest.raises(InputError, match="'sample'"):
        compare_expression(cells, "disease")
