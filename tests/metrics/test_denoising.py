from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from scproto.metrics import (
    de_share,
    log_mse,
    marker_auroc,
    mean_absolute_correlation,
    permuted_de_shares,
    poisson_loss,
)


@pytest.fixture
def counts() -> np.ndarray:
    """Eleven cells and seven genes; the fourth cell and the third gene have no counts."""
    counts = np.random.default_rng(0).poisson(2.0, (11, 7)).astype(float)
    counts[3], counts[:, 2] = 0, 0
    return counts


@pytest.fixture
def denoised() -> np.ndarray:
    return np.random.default_rng(1).gamma(2.0, 1.0, (11, 7))


def naive_log_mse(held_out, denoised) -> float:
    total = 0.0
    for i in range(len(held_out)):
        for j in range(held_out.shape[1]):
            logs = [np.log1p(1e4 * x[i, j] / x[i].sum()) if x[i].sum() else 0.0 for x in (held_out, denoised)]
            total += (logs[0] - logs[1]) ** 2
    return total / held_out.size


def test_log_mse_equals_the_naive_loop(counts, denoised):
    assert log_mse(counts, denoised) == pytest.approx(naive_log_mse(counts, denoised))
    assert log_mse(counts[:1], denoised[:1]) == pytest.approx(naive_log_mse(counts[:1], denoised[:1]))
    assert log_mse(counts, counts) == 0


@given(st.floats(1e-3, 1e3))
def test_log_mse_does_not_depend_on_the_scale(factor):
    rng = np.random.default_rng(2)
    counts, denoised = rng.poisson(1.0, (5, 4)), rng.gamma(1.0, 1.0, (5, 4))
    assert log_mse(counts, factor * denoised) == pytest.approx(log_mse(counts, denoised))


def test_poisson_loss_equals_the_naive_loop(counts, denoised):
    terms = [e - o * np.log(e + 1e-6) for o, e in zip(counts.ravel(), denoised.ravel(), strict=True)]
    assert poisson_loss(counts, denoised) == pytest.approx(sum(terms) / len(terms))
    swapped = [o - e * np.log(o + 1e-6) for o, e in zip(counts.ravel(), denoised.ravel(), strict=True)]
    assert poisson_loss(denoised, counts) == pytest.approx(sum(swapped) / len(swapped))


def test_poisson_loss_equals_that_of_scipy_except_for_the_factorial(counts, denoised):
    constant = stats.poisson.logpmf(counts, np.maximum(counts, 1e-9)).mean()
    expected = -(stats.poisson.logpmf(counts, denoised).mean() - constant)
    ideal = poisson_loss(counts, counts)
    assert poisson_loss(counts, denoised) - ideal == pytest.approx(expected, abs=1e-5)


@given(st.integers(1, 30), st.floats(0.1, 5.0))
def test_poisson_loss_is_lowest_at_the_counts(count, factor):
    assert poisson_loss([[count]], [[count]]) <= poisson_loss([[count]], [[count * factor]]) + 1e-6


def test_poisson_loss_is_finite_where_no_counts_are_expected():
    assert poisson_loss([[1.0]], [[0.0]]) == pytest.approx(-np.log(1e-6))


def test_marker_auroc_equals_the_naive_loop():
    rng = np.random.default_rng(3)
    expression = rng.integers(0, 4, (20, 3)).astype(float)
    positive = rng.random((20, 3)) < 0.4
    found = marker_auroc(expression, positive)
    for j in range(3):
        inside, outside = expression[positive[:, j], j], expression[~positive[:, j], j]
        wins = sum((a > b) + 0.5 * (a == b) for a in inside for b in outside)
        assert found[j] == pytest.approx(wins / (len(inside) * len(outside)))


def test_marker_of_all_cells_or_none_has_no_auroc():
    found = marker_auroc(np.ones((4, 3)), np.array([[1, 0, 1]] * 2 + [[1, 0, 0]] * 2))
    np.testing.assert_array_equal(found, [np.nan, np.nan, 0.5])


def test_mean_absolute_correlation_equals_the_naive_loop(denoised):
    denoised[:, 4] = 3.0  # does not vary
    pairs = [(i, j) for i in range(7) for j in range(i) if 4 not in (i, j)]
    expected = np.mean([abs(stats.pearsonr(denoised[:, i], denoised[:, j]).statistic) for i, j in pairs])
    assert mean_absolute_correlation(denoised) == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (5, 1), (5, 0)])
def test_correlation_needs_two_genes_that_vary(shape):
    assert np.isnan(mean_absolute_correlation(np.random.default_rng(0).random(shape)))


def test_genes_that_follow_each_other_correlate():
    x = np.arange(9.0)
    assert mean_absolute_correlation(np.column_stack([x, -2 * x, x + 1])) == pytest.approx(1)


def test_de_share_equals_the_naive_loop():
    rng = np.random.default_rng(4)
    group = np.arange(60) < 25
    expression = rng.poisson(2.0, (60, 12)) + group[:, None] * np.arange(12) / 6
    expression[:, 5] = 1.0  # does not vary
    p = [stats.mannwhitneyu(expression[group, j], expression[~group, j]).pvalue for j in range(12) if j != 5]
    assert de_share(expression, group, alpha=0.01) == sum(value < 0.01 for value in p) / 12


def test_de_share_of_an_empty_group_and_of_constant_genes():
    expression = np.random.default_rng(0).random((6, 3))
    assert np.isnan(de_share(expression, np.ones(6)))
    assert np.isnan(de_share(expression[:1], np.ones(1)))
    assert de_share(np.ones((6, 3)), np.arange(6) < 3) == 0


def test_random_halves_differ_at_the_level_of_the_test():
    rng = np.random.default_rng(5)
    independent = permuted_de_shares(rng.random((200, 400)), rng)
    together = permuted_de_shares(rng.random((200, 1)) * np.ones(400), rng, n_permutations=400)
    assert independent.shape == (20,)
    assert independent.mean() == pytest.approx(0.05, abs=0.02)
    assert independent.max() < 0.12
    assert set(together) == {0, 1}  # all genes at once
    assert together.mean() == pytest.approx(0.05, abs=0.03)


def test_permutations_follow_the_random_generator():
    expression = np.random.default_rng(6).random((40, 30))
    first, again = (permuted_de_shares(expression, np.random.default_rng(1), n_permutations=5) for _ in range(2))
    np.testing.assert_array_equal(first, again)
