from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from scproto.datasets import pbmc_three_labs
from scproto.datasets._pbmc import recover_counts, thin
from scproto.inputs.checks import check_adata


def knn_accuracy(points: np.ndarray, labels: pd.Series) -> float:
    return cross_val_score(KNeighborsClassifier(10), points, labels, cv=4).mean()


def test_recovered_counts_agree_with_the_stored_values():
    stored = sparse.csr_matrix(sc.datasets.pbmc68k_reduced().raw.X)
    counts = recover_counts(stored)
    for scaled, cell in zip(np.expm1(stored.toarray().astype(float)), counts.toarray(), strict=True):
        assert np.abs(scaled / scaled[scaled > 0].min() - cell).max() < 0.12
    assert counts.data.min() == 1


def test_known_counts_are_recovered():
    counts = sparse.csr_matrix(np.array([[1.0, 0, 7], [0, 1, 0], [30, 2, 1]]))
    scaled = sparse.csr_matrix(counts.multiply([[12.5], [0.3], [4.0]]))
    np.testing.assert_array_equal(recover_counts(scaled.log1p()).toarray(), counts.toarray())


def test_thinning_keeps_the_share_given_by_the_rate():
    counts = sparse.csr_matrix(np.full((400, 3), 50))
    batch = np.repeat([0, 1], 200)
    rates = np.array([[1.0, 0.5, 0.0], [0.2, 0.5, 1.0]])
    kept = thin(counts, rates, batch, np.random.default_rng(0))
    means = np.array([kept[batch == b].mean(axis=0) for b in (0, 1)]).reshape(2, 3)
    np.testing.assert_allclose(means / 50, rates, atol=0.03)  # 0.03 is six standard errors
    assert kept.nnz == (kept.toarray() > 0).sum()


def test_schema(blood):
    assert blood.shape == (700, 765)
    assert sparse.issparse(blood.X)
    assert (blood.X.format, blood.X.dtype) == ("csr", np.float32)
    assert list(blood.obs["lab"].cat.categories) == ["lab_1", "lab_2", "lab_3"]
    assert blood.obs["cell_type"].nunique() == 10
    check_adata(blood, batch_key="lab", layer=None, label_keys=["cell_type"], n_prototypes=20)


def test_the_seed_determines_the_result(blood):
    again, other = pbmc_three_labs(seed=0), pbmc_three_labs(seed=1)
    np.testing.assert_array_equal(again.X.toarray(), blood.X.toarray())
    assert again.obs.equals(blood.obs)
    assert (other.X != blood.X).nnz > 0
    assert not other.obs["lab"].equals(blood.obs["lab"])


def test_labs_have_unequal_composition(blood):
    shares = pd.crosstab(blood.obs["cell_type"], blood.obs["lab"], normalize="columns")
    assert (shares.max(axis=1) - shares.min(axis=1)).max() > 0.1


def test_labs_are_separate_but_types_transfer_between_them(blood):
    sc.pp.normalize_total(blood, target_sum=1e4)
    sc.pp.log1p(blood)
    sc.pp.pca(blood, n_comps=20)
    points, lab = blood.obsm["X_pca"], blood.obs["lab"]
    # broad classes, because these few genes do not distinguish the subsets of T cells
    broad = blood.obs["cell_type"].astype(str).replace({r"^CD[48]\+/?.*": "T"}, regex=True)
    assert knn_accuracy(points, lab) > 0.9
    for name in lab.cat.categories:
        inside = (lab == name).to_numpy()
        transferred = KNeighborsClassifier(10).fit(points[~inside], broad[~inside]).score(points[inside], broad[inside])
        assert transferred > 0.85, name


@pytest.mark.parametrize("seed", range(1, 4))
def test_every_seed_gives_three_usable_labs(seed):
    adata = pbmc_three_labs(seed=seed)
    assert adata.obs["lab"].value_counts().min() > 70
    check_adata(adata, batch_key="lab", layer=None)
