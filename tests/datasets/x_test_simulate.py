from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from scproto._errors import InputError
from scproto.datasets import simulate_atlas
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
    assert adata.varm["type_profile"].shape == (50, 6)
    assert adata.varm["batch_shift"].shape == (50, 3)
    check_adata(adata, batch_key="batch", layer=None, label_keys=["cell_type"], n_prototypes=10)
    adata.write_h5ad(tmp_path / "atlas.h5ad")
    again = sc.read_h5ad(tmp_path / "atlas.h5ad")
    pd.testing.assert_frame_equal(again.varm["type_profile"], adata.varm["type_profile"])


def test_only_the_seed_decides():
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


def test_depth_of_each_batch():
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
    distance = 0
    for seed in range(5):
        profiles = np.log(simulate_atlas(20, 500, 1, 4, seed=seed).varm["type_profile"].to_numpy().T)
        distance = distance + np.linalg.norm(profiles[:, None] - profiles, axis=2)
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
def test_invalid_composition_or_sizes_are_refused(arguments):
    with pytest.raises(InputError, match="must be 3"):
        simulate_atlas(50, 20, **arguments)


@pytest.mark.parametrize("arguments", [{"composition": "equal"}, {"n_types": 1}], ids=["composition", "types"])
def test_unknown_settings_are_refused(arguments):
    with pytest.raises(InputError):
        simulate_atlas(50, 20, **arguments)


@settings(deadline=None, max_examples=40)
@given(weights=st.lists(st.floats(0.01, 10), min_size=1, max_size=8), n_cells=st.integers(1, 200))
def test_batch_sizes_add_up_and_are_exact_up_to_rounding(weights, n_cells):
    adata = simulate_atlas(n_cells, 2, len(weights), 2, batch_sizes=weights)
    sizes = adata.obs["batch"].value_counts()[adata.obs["batch"].cat.categories].to_numpy()
    assert sizes.sum() == n_cells
    assert (np.abs(sizes - np.array(weights) / sum(weights) * n_cells) < 1).all()
