from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scproto._errors import InputError
from scproto.tl.contrast import (
    categories,
    check_number,
    check_pseudocount,
    cp10k,
    join,
    log2_fold_change,
    members_of,
    top_genes,
    weighted_means,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_cp10k_scales_by_all_genes_but_returns_some(rng):
    counts = rng.poisson(2.0, (4, 6)).astype(np.float32)
    counts[2] = 0
    genes = np.array([True, False, True, True, False, False])
    found = cp10k(sparse.csr_matrix(counts), genes)
    for i in range(4):
        for column, gene in enumerate(np.flatnonzero(genes)):
            expected = counts[i, gene] / counts[i].sum() * 1e4 if i != 2 else 0
            assert found[i, column] == pytest.approx(expected)


def test_weighted_means_equal_a_loop(rng):
    values, weight = rng.normal(size=(5, 3)), np.array([1, 4, 2, 8, 3])
    member = rng.random((4, 5)) < 0.5
    member[:, 1] = True
    found = weighted_means(values, weight, member)
    for i in range(4):
        rows = np.flatnonzero(member[i])
        expected = sum(weight[row] * values[row] for row in rows) / sum(weight[row] for row in rows)
        np.testing.assert_allclose(found[i], expected)


def test_members_become_a_mask():
    assert members_of(np.array([[1], [0], [1]])).tolist() == [[0, 1, 0], [1, 0, 0], [0, 1, 0]]


def test_fold_changes_are_shrunk_by_the_pseudocount():
    assert log2_fold_change(np.array(8.0), np.array(2.0), 1e-9) == pytest.approx(2)
    assert log2_fold_change(np.array(7.0), np.array(0.0), 1.0) == pytest.approx(3)
    assert log2_fold_change(np.array(0.0), np.array(0.0), 1.0) == 0
    assert log2_fold_change(np.array(1e6), np.array(1e3), 1e9) == pytest.approx(0, abs=2e-3)


@pytest.mark.parametrize("n_genes", [1, 3, 9, None])
def test_top_genes_equal_a_loop(rng, n_genes):
    score = rng.normal(size=(3, 5)).round(1)
    score[1, [0, 3]] = np.nan
    score[2] = np.nan
    other = rng.normal(size=(3, 5))
    rows = pd.DataFrame({"group": ["a", "b", "c"]})
    found = top_genes(score, list("vwxyz"), rows, {"score": score, "other": other}, n_genes)
    expected = []
    for i in range(3):
        genes = sorted((g for g in range(5) if not np.isnan(score[i, g])), key=lambda g: (-score[i, g], g))
        for rank, g in enumerate(genes[:n_genes], start=1):
            expected.append(("abc"[i], rank, "vwxyz"[g], score[i, g], other[i, g]))
    expected = pd.DataFrame(expected, columns=["group", "rank", "names", "score", "other"])
    pd.testing.assert_frame_equal(found, expected)


def test_join_keeps_the_order_of_groups_and_tables():
    first = pd.DataFrame({"group": ["m10", "m10", "m2"], "side": "x"})
    second = pd.DataFrame({"group": ["m10", "m2", "m2"], "side": "a"})
    table = categories(join([first, second]), ["group", "side"])
    assert table["group"].tolist() == ["m10"] * 3 + ["m2"] * 3
    assert table["side"].tolist() == ["x", "x", "a", "x", "a", "a"]
    assert table["group"].cat.categories.tolist() == ["m10", "m2"]
    assert table["side"].cat.categories.tolist() == ["x", "a"]


@pytest.mark.parametrize("value", [0, -3, 1.0, True, "5", None])
def test_anything_but_a_whole_number_is_refused(value):
    with pytest.raises(InputError, match=r"n_genes=.*: give a whole number of at least 1\.$"):
        check_number("n_genes", value)
    if value is None:
        check_number("n_genes", value, none=True)
    else:
        with pytest.raises(InputError, match="or None for all"):
            check_number("n_genes", value, none=True)
    check_number("n_genes", np.int64(1))


@pytest.mark.parametrize("value", [0, -1.0, np.inf, np.nan])
def test_pseudocounts_must_be_positive_and_finite(value):
    with pytest.raises(InputError, match="give a positive number, in CP10k"):
        check_pseudocount(value)
    check_pseudocount(1)
