from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from scproto._errors import InputError
from scproto.datasets import simulate_atlas
from scproto.datasets._simulate import _apportion, _type_profiles
from scproto.inputs.checks import check_adata


def knn_accuracy(adata, key: str) -> float:
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    sc.pp.pca(adata, n_comps=15)
    return cross_val_score(KNeighborsClassifier(10), adata.obsm["X_pca"], adata.obs[key], cv=4).mean()


def table(adata) -> np.ndarray:
    return pd.crosstab(adata.obs["batch"], adata.obs["cell_type"], dropna=False).to_numpy()


def test_schema(tmp_path):
    adata = simulate_atlas(200, 50)
    assert adata.shape == (200, 50)
    assert (adata.X.format, adata.X.dtype) == ("csr", np.float32)
    assert list(adata.obs) == ["batch", "cell_type", "pseudotime"]
    assert {key: value.shape for key, value in adata.varm.items()} == {"type_profile": (50, 6), "batch_shift": (50, 3)}
    assert not adata.obsm
    check_adata(adata, batch_key="batch", layer=None, label_keys=["cell_type"], n_prototypes=10)
    adata.write_h5ad(tmp_path / "atlas.h5ad")
    again = sc.read_h5ad(tmp_path / "atlas.h5ad")
    pd.testing.assert_frame_equal(again.varm["type_profile"], adata.varm["type_profile"])


def test_studies_and_programmes_survive_writing(tmp_path):
    adata = simulate_atlas(200, 50, 5, 6, n_studies=2, n_programmes=3)
    check_adata(adata, batch_key=["study", "batch"], layer=None, label_keys=["cell_type"], n_prototypes=10)
    assert (adata.obsm["programme"].shape, adata.obsm["programme"].dtype) == ((200, 3), np.float32)
    assert adata.varm["programme_loading"].shape == (50, 6, 3)
    adata.write_h5ad(tmp_path / "atlas.h5ad")
    again = sc.read_h5ad(tmp_path / "atlas.h5ad")[:, 10:]
    np.testing.assert_array_equal(again.varm["programme_loading"], adata.varm["programme_loading"][10:])
    np.testing.assert_array_equal(again.obsm["programme"], adata.obsm["programme"])
    assert again.obs["study"].equals(adata.obs["study"])


def test_the_seed_determines_the_result():
    first, again, other = (simulate_atlas(100, 30, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.X.toarray(), again.X.toarray())
    assert first.obs.equals(again.obs)
    assert (first.X != other.X).nnz > 0


def test_balanced_composition_and_rare_type():
    adata = simulate_atlas(3000, 20, 3, 6, rare_fraction=0.01)
    np.testing.assert_array_equal(table(adata), [[198] * 5 + [10]] * 3)


def test_unequal_composition_keeps_the_rare_fraction():
    counts = table(simulate_atlas(3000, 20, 3, 6, composition="unequal", rare_fraction=0.002))
    np.testing.assert_array_equal(counts[:, -1], 2)
    shares = counts / counts.sum(axis=1, keepdims=True)
    assert np.ptp(shares, axis=0).max() > 0.1


def test_composition_can_leave_types_out_of_a_batch():
    composition = np.array([[1, 1, 0], [0, 1, 1]])
    counts = table(simulate_atlas(400, 20, 2, 3, composition=composition))
    np.testing.assert_array_equal(counts, 100 * composition)


def test_a_small_batch():
    adata = simulate_atlas(1000, 20, 2, 3, batch_sizes=(99, 1))
    np.testing.assert_array_equal(adata.obs["batch"].value_counts()[["batch_0", "batch_1"]], [990, 10])


def test_each_batch_has_its_own_depth():
    adata = simulate_atlas(3000, 200, 2, 3, depth=(300, 900))
    depth = pd.Series(np.ravel(adata.X.sum(axis=1)), adata.obs_names).groupby(adata.obs["batch"], observed=True).mean()
    np.testing.assert_allclose(depth, [300, 900], rtol=0.05)


def test_without_batch_effect_the_mean_of_a_type_is_its_profile():
    adata = simulate_atlas(4000, 40, 1, 2, rare_fraction=0.5, batch_strength=0, trajectory=False)
    depth = adata.X.sum()
    for name, profile in adata.varm["type_profile"].items():
        counts = adata[adata.obs["cell_type"] == name].X
        np.testing.assert_allclose(np.ravel(counts.sum(axis=0)) / counts.sum(), profile, rtol=0.15, atol=1e-4)
    assert depth == pytest.approx(4000 * 1000, rel=0.05)


def test_counts_are_overdispersed():
    adata = simulate_atlas(4000, 30, 1, 2, rare_fraction=0, batch_strength=0, trajectory=False)
    counts = adata.X.toarray()
    assert (counts.var(axis=0) / counts.mean(axis=0)).min() > 1.1


@pytest.mark.parametrize(("strength", "low", "high"), [(0, 0.2, 0.5), (0.5, 0.95, 1)])
def test_batches_are_separate_only_with_a_batch_effect(strength, low, high):
    adata = simulate_atlas(600, 200, 3, 4, batch_strength=strength)
    assert low < knn_accuracy(adata, "batch") <= high


def test_types_are_distinguishable():
    assert knn_accuracy(simulate_atlas(600, 200, 3, 4, rare_fraction=0.05), "cell_type") > 0.95


def test_types_that_share_branches_are_closer():
    profiles = np.mean([_type_profiles(4, 500, np.random.default_rng(seed)) for seed in range(5)], axis=0)
    distance = np.linalg.norm(profiles[:, None] - profiles, axis=2)
    assert distance[0, 1] < distance[0, 2:].min()
    assert distance[2, 3] < distance[:2, 2].min()


def test_trajectory_runs_along_pseudotime():
    adata = simulate_atlas(600, 200, 1, 2, rare_fraction=0.1)
    moving = adata.obs["cell_type"] == "type_0"
    assert adata.obs.loc[~moving, "pseudotime"].isna().all()
    assert adata.obs.loc[moving, "pseudotime"].between(0, 1).all()
    cells = adata[moving.to_numpy()].copy()
    sc.pp.normalize_total(cells)
    sc.pp.log1p(cells)
    sc.pp.pca(cells, n_comps=2)
    correlation = np.corrcoef(cells.obsm["X_pca"][:, 0], cells.obs["pseudotime"])[0, 1]
    assert abs(correlation) > 0.8
    assert "pseudotime" not in simulate_atlas(50, 20, trajectory=False).obs


def test_blocks_do_not_change_the_mean():
    adata = simulate_atlas(2500, 30, 1, 2, rare_fraction=0, trajectory=False, batch_strength=0)
    assert sparse.issparse(adata.X)
    early, late = adata.X[:1024].mean(), adata.X[2048:].mean()
    assert early == pytest.approx(late, rel=0.1)


def test_each_donor_belongs_to_one_study_and_studies_have_equal_numbers_of_donors():
    adata = simulate_atlas(300, 20, 11, 3, n_studies=3)
    donors = adata.obs.groupby("study", observed=True)["batch"].unique()
    assert sorted(map(len, donors)) == [3, 4, 4]
    assert sorted(np.concatenate(donors.to_list())) == sorted(adata.obs["batch"].cat.categories)


def test_donors_of_a_study_are_closer_to_each_other_than_to_those_of_other_studies():
    adata = simulate_atlas(6000, 200, 12, 3, n_studies=3, batch_strength=0.5, donor_strength=0.2, trajectory=False)
    bulk = sc.get.aggregate(adata, "batch", "sum").layers["sum"]
    profiles = np.log(bulk / bulk.sum(axis=1, keepdims=True) + 1e-4)
    study = adata.obs.groupby("batch", observed=True)["study"].first().to_numpy()
    distance = np.linalg.norm(profiles[:, None] - profiles, axis=2)
    same = study[:, None] == study
    assert distance[same].max() < distance[~same].min()


def test_a_batch_shift_is_the_sum_of_the_shifts_of_study_and_donor():
    shifts = simulate_atlas(20, 2000, 20, 2, n_studies=10, batch_strength=0.5, donor_strength=0.2).varm["batch_shift"]
    first, second = shifts.to_numpy().T.reshape(10, 2, 2000).transpose(1, 0, 2)
    assert (first - second).std() == pytest.approx(0.2 * np.sqrt(2), rel=0.05)
    assert shifts.to_numpy().std() == pytest.approx(np.hypot(0.5, 0.2), rel=0.05)
    assert np.mean(first * second) == pytest.approx(0.5**2, rel=0.05)


def test_genes_follow_the_programmes_of_their_own_type():
    adata = simulate_atlas(8000, 200, 1, 2, rare_fraction=0.5, batch_strength=0, trajectory=False, n_programmes=2)
    loadings, activity = adata.varm["programme_loading"], adata.obsm["programme"]
    for i in range(2):
        for kind in range(2):
            cells = (adata.obs["cell_type"] == f"type_{kind}").to_numpy()
            low, high = (
                adata.X[cells & (sign * activity[:, i] > 0.5)].toarray().mean(axis=0) + 0.01 for sign in (-1, 1)
            )
            change = np.log(high / low)
            assert np.corrcoef(change, loadings[:, kind, i])[0, 1] > 0.9
            assert abs(np.corrcoef(change, loadings[:, 1 - kind, i])[0, 1]) < 0.3
            assert abs(np.corrcoef(change, loadings[:, kind, 1 - i])[0, 1]) < 0.3


def test_a_programme_has_some_genes():
    loadings = simulate_atlas(20, 1000, 1, 3, n_programmes=2).varm["programme_loading"]
    share = (loadings != 0).mean(axis=0)
    assert ((share > 0.05) & (share < 0.2)).all()


def test_activity_is_uniform_and_independent_of_batch_and_type():
    adata = simulate_atlas(8000, 20, 4, 4, n_studies=2, rare_fraction=0.25, n_programmes=2)
    activity = adata.obsm["programme"]
    np.testing.assert_allclose(
        np.quantile(activity, [0, 0.25, 0.5, 0.75, 1], axis=0).mean(axis=1), [-1, -0.5, 0, 0.5, 1], atol=0.03
    )
    assert abs(np.corrcoef(activity.T)[0, 1]) < 0.05
    for key in ("batch", "cell_type", "study"):
        means = pd.DataFrame(activity).groupby(adata.obs[key].to_numpy()).mean()
        np.testing.assert_allclose(means, 0, atol=0.06)


def test_cells_of_200_types_are_distinct():
    adata = simulate_atlas(
        2000, 1000, 1, 200, rare_fraction=1 / 200, batch_strength=0, trajectory=False, n_programmes=2
    )
    log_likelihood = adata.X @ np.log(adata.varm["type_profile"].to_numpy())
    found = log_likelihood.argmax(axis=1)
    assert np.mean(found == adata.obs["cell_type"].cat.codes.to_numpy()) > 0.95


@pytest.mark.parametrize(
    "arguments",
    [
        {"composition": np.ones((2, 6))},
        {"composition": -np.ones((3, 6))},
        {"composition": np.zeros((3, 6))},
        {"batch_sizes": (1, 1)},
        {"batch_sizes": (1, 1, 0)},
    ],
    ids=["shape", "negative", "nothing", "number", "zero"],
)
def test_shapes_that_do_not_fit_are_refused(arguments):
    with pytest.raises(InputError, match="must be 3"):
        simulate_atlas(50, 20, **arguments)


@pytest.mark.parametrize("arguments", [{"composition": "equal"}, {"n_types": 1}], ids=["composition", "types"])
def test_unknown_settings_are_refused(arguments):
    with pytest.raises(InputError):
        simulate_atlas(50, 20, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_studies": 4}, "n_studies=4 does not fit n_batches=3"),
        ({"n_studies": 0}, "n_studies=0 does not fit"),
        ({"n_programmes": -1}, "n_programmes=-1 is too small: give at least 0"),
        ({"batch_strength": -0.5}, "batch_strength=-0.5 is too small"),
        ({"donor_strength": -0.1}, "donor_strength=-0.1 is too small"),
        ({"donor_strength": float("nan")}, "donor_strength=nan"),
        ({"depth": (100, 100, -1)}, "depth=-1 is too small"),
        ({"rare_fraction": 1.5}, "rare_fraction=1.5 is not a share"),
        ({"n_batches": 0}, "n_batches=0 is too small: give at least 1"),
        ({"n_cells": 0}, "n_cells=0 is too small"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        simulate_atlas(**{"n_cells": 50, "n_genes": 20} | arguments)


@given(weights=st.lists(st.floats(0.01, 10), min_size=1, max_size=8), total=st.integers(0, 1000))
def test_apportioned_parts_add_up_and_are_within_one_of_exact(weights, total):
    weights = np.array(weights)
    parts = _apportion(weights, total)
    assert parts.sum() == total
    assert (np.abs(parts - weights / weights.sum() * total) < 1).all()
