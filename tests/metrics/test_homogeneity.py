from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from scproto._errors import InputError
from scproto.metrics import (
    compactness_correlation,
    homogeneity_scores,
    inner_normalized_variance,
    inv,
    log1p_cp10k,
    separation_correlation,
)

drawn_cells = st.lists(
    st.tuples(st.integers(0, 3), st.lists(st.integers(0, 60), min_size=5, max_size=5)), min_size=1, max_size=25
)


MIN_TOTAL = 7 * math.e
"""No sum of scaled counts equals this value, so rounding cannot decide whether a gene is left out."""


def split(drawn) -> tuple[np.ndarray, np.ndarray]:
    return np.array([cell[1] for cell in drawn], dtype=float), np.array([cell[0] for cell in drawn])


def two_types(n_cells: int = 200, n_genes: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Poisson counts of two types that differ in half of the genes; cells differ in depth."""
    rng = np.random.default_rng(seed)
    types = np.arange(n_cells) % 2
    rates = rng.gamma(2.0, 2.0, (2, n_genes))
    rates[1, ::2] = rates[0, ::2]
    return rng.poisson(rates[types] * rng.uniform(0.5, 2.0, (n_cells, 1))), types


@settings(deadline=None)  # the first call imports modules
@given(drawn_cells)
def test_inv_equals_the_naive_loop(drawn) -> None:
    counts, assignment = split(drawn)
    expected = []
    for name in sorted(set(assignment.tolist())):
        own = [counts[i] for i in range(len(counts)) if assignment[i] == name and counts[i].sum() > 0]
        if len(own) < 2:
            expected.append(math.nan)
            continue
        depth = len(own) / sum(1 / cell.sum() for cell in own)
        own = [cell / cell.sum() * depth for cell in own]
        ratios = []
        for gene in range(5):
            values = [cell[gene] for cell in own]
            if sum(values) >= MIN_TOTAL:
                mean = sum(values) / len(values)
                ratios.append(sum((v - mean) ** 2 for v in values) / (len(values) - 1) / mean)
        expected.append(np.quantile(ratios, 0.95) if ratios else math.nan)
    np.testing.assert_allclose(
        inner_normalized_variance(sparse.csr_matrix(counts), assignment, min_total=MIN_TOTAL),
        expected,
        rtol=1e-9,
        atol=1e-9,
    )


def test_inv_of_poisson_counts_is_about_one_whatever_the_depths() -> None:
    rng = np.random.default_rng(0)
    rates = rng.gamma(2.0, 2.0, 400)
    counts = rng.poisson(rates * rng.uniform(0.2, 3.0, (2000, 1)))
    one = np.zeros(2000)
    assert inv(counts, one, quantile=0.5) == pytest.approx(1, abs=0.02)
    assert inv(counts, one) == pytest.approx(1, abs=0.15)


def test_inv_rises_when_types_are_mixed() -> None:
    counts, types = two_types()
    assert inv(counts, types) < 1.6
    assert inv(counts, np.zeros(200)) > 1.3 * inv(counts, types)


def test_inv_of_metacells_that_cannot_be_judged_is_nan() -> None:
    counts = np.array([[50, 60], [55, 40], [70, 10], [0, 0]])
    values = inner_normalized_variance(counts, ["a", "a", "b", "b"])
    assert np.isfinite(values[0])
    assert np.isnan(values[1])  # one cell with counts
    assert math.isnan(inv(counts, ["a", "b", "c", "d"]))
    assert math.isnan(inv(counts, ["a", "a", "a", "a"], min_total=1000))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


@settings(deadline=None)  # the first call imports modules
@given(drawn_cells)
def test_correlation_scores_equal_the_naive_loops(drawn) -> None:
    x, assignment = split(drawn)
    x = np.log1p(x)
    compactness, separation = [], []
    for i in range(len(x)):
        inside = [correlation(x[i], x[j]) for j in range(len(x)) if assignment[i] == assignment[j]]
        outside = [correlation(x[i], x[j]) for j in range(len(x)) if assignment[i] != assignment[j]]
        compactness.append(sum(inside) / len(inside))
        separation.append(1 - max(outside) if outside else math.nan)
    # Averaging over the pairs of each metacell, weighted by its cells, equals averaging the mean of each cell.
    assert compactness_correlation(x, assignment) == pytest.approx(np.mean(compactness), abs=1e-8)
    assert separation_correlation(sparse.csr_matrix(x), assignment) == pytest.approx(
        np.mean(separation), abs=1e-8, nan_ok=True
    )


def test_separation_compares_the_drawn_cells_with_all_others() -> None:
    counts, types = two_types()
    x = log1p_cp10k(counts)
    whole = separation_correlation(x, types, max_cells=None)
    drawn = separation_correlation(x, types, max_cells=50)
    assert drawn == separation_correlation(x, types, max_cells=50)
    assert drawn != separation_correlation(x, types, max_cells=50, seed=1)
    assert drawn == pytest.approx(whole, abs=0.1)


def test_cells_that_differ_only_in_scale_are_perfectly_compact() -> None:
    assert compactness_correlation(np.array([[1.0, 2, 3], [2, 4, 6]]), [0, 0]) == pytest.approx(1)
    assert compactness_correlation(np.array([[1.0, 2, 3], [3, 2, 1]]), [0, 0]) == pytest.approx(0)


def test_all_scores_and_those_within_batches() -> None:
    counts, types = two_types()
    batches = np.arange(200) // 100
    counts[batches == 1, :20] *= 5  # the second batch captures some genes more efficiently
    scores = homogeneity_scores(counts, types, batches)
    assert set(scores) == {
        "inv",
        "inv_within_batch",
        "dubious_rate",
        "dubious_rate_within_batch",
        "compactness_correlation",
        "separation_correlation",
    }
    assert scores["inv_within_batch"] < scores["inv"]
    assert scores == homogeneity_scores(sparse.csc_matrix(counts), types, batches)
    assert "inv_within_batch" not in homogeneity_scores(counts, types, np.zeros(200))
    assert set(homogeneity_scores(counts, np.arange(200))) == {"compactness_correlation", "separation_correlation"}


@pytest.mark.parametrize("score", [inv, compactness_correlation, separation_correlation, homogeneity_scores])
@pytest.mark.parametrize(
    ("x", "assignment", "message"),
    [
        (np.ones(3), [0, 0, 1], "give \\(n_cells, n_genes\\)"),
        (np.array([[1.0], [np.nan]]), [0, 1], "negative, NaN or infinite"),
        (np.array([[1.0], [-1]]), [0, 1], "negative, NaN or infinite"),
        (np.ones((2, 2)), [0, 1, 1], "There are 2 cells"),
    ],
    ids=["flat", "not finite", "negative", "lengths differ"],
)
def test_bad_input_is_refused(score, x, assignment, message: str) -> None:
    with pytest.raises(InputError, match=message):
        score(x, assignment)


def test_duplicate_sparse_entries_are_summed():
    from scipy import sparse

    from scproto.metrics import homogeneity_scores, log1p_cp10k

    rng = np.random.default_rng(0)
    counts = sparse.csr_matrix(rng.poisson(1.0, (60, 30)).astype(np.float32))
    ones = np.ones(int(counts.sum()), np.float32)
    indptr = np.append(0, np.cumsum(np.ravel(counts.sum(axis=1)))).astype(np.int32)
    twice = sparse.csr_matrix((ones, np.repeat(counts.indices, counts.data.astype(int)), indptr), counts.shape)
    assert not twice.has_canonical_format
    assignment, batches = np.arange(60) % 4, np.arange(60) % 2
    assert homogeneity_scores(twice, assignment, batches) == homogeneity_scores(counts, assignment, batches)
    np.testing.assert_array_equal(log1p_cp10k(twice).toarray(), log1p_cp10k(counts).toarray())
