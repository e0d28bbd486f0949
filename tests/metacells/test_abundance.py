from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from scproto.metacells.abundance import (
    LEAST_SPREAD,
    PRIOR_COUNT,
    compare_counts,
    inverse_trigamma,
    log_abundance,
    moderate,
    reference_sizes,
)


def cohort(n: int = 12, n_items: int = 40, spread: float = 0.3, seed: int = 0, fold: float = 1, grown: int = 0):
    """Counts of a cohort, and its design; the first items are `fold` as abundant in the second condition."""
    rng = np.random.default_rng(seed)
    design = np.column_stack([np.ones(n), np.repeat([0.0, 1.0], n // 2)])
    logs = rng.normal(0, 1, n_items) + rng.normal(0, spread, (n, n_items))
    logs[:, :grown] += np.log(fold) * design[:, [1]]
    share = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    return np.stack([rng.multinomial(rng.integers(500, 3000), p) for p in share]), design


def by_hand(counts, sizes, design, column):
    """Weighted least squares, one item after another."""
    n, k = design.shape
    logs = np.array(
        [
            [np.log((c + PRIOR_COUNT * s / np.mean(sizes)) / s) for c in row]
            for row, s in zip(counts, sizes, strict=True)
        ]
    )
    counting = np.array(
        [[1 / (counts[:, j].sum() * s / sizes.sum() + 0.5) for j in range(counts.shape[1])] for s in sizes]
    )
    plain = [np.linalg.lstsq(design, y, rcond=None)[1][0] / (n - k) for y in logs.T]
    between = max(LEAST_SPREAD, np.mean([v - counting[:, j].mean() for j, v in enumerate(plain)]))
    estimates, variances, scales = [], [], []
    for j, y in enumerate(logs.T):
        root = np.sqrt(1 / (counting[:, j] + between))
        beta, (rest,), *_ = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)
        estimates.append(beta[column])
        variances.append(rest / (n - k))
        scales.append(np.linalg.inv((design * root[:, None]).T @ (design * root[:, None]))[column, column])
    return np.array(estimates), np.array(variances), np.array(scales)


def test_estimates_and_errors_equal_a_loop():
    counts, design = cohort()
    design = np.column_stack([design, np.tile([0.0, 1.0], 6)])
    sizes = counts.sum(axis=1).astype(float)
    found = compare_counts(counts, sizes, design, [1, 2])
    for row, column in enumerate((1, 2)):
        estimate, variance, scale = by_hand(counts, sizes, design, column)
        variance, prior_df = moderate(variance, 9)
        np.testing.assert_allclose(found.estimate[row], estimate / np.log(2))
        np.testing.assert_allclose(found.error[row], np.sqrt(variance * scale) / np.log(2))
        assert found.df == pytest.approx(min(9 + prior_df, 9 * 40))


def test_p_values_and_intervals_belong_together():
    counts, design = cohort(fold=3, grown=10)
    found = compare_counts(counts, counts.sum(axis=1).astype(float), design, [1])
    low, high = found.interval()
    np.testing.assert_array_equal((low > 0) | (high < 0), found.pvalue < 0.05)
    np.testing.assert_allclose(found.pvalue, 2 * stats.t.sf(abs(found.estimate / found.error), found.df))
    assert 0 < (found.pvalue < 0.05).mean() < 1


def test_an_item_without_cells_has_the_same_value_everywhere():
    counts, _ = cohort()
    counts[:, 3] = 0
    assert np.ptp(log_abundance(counts, counts.sum(axis=1).astype(float))[:, 3]) == pytest.approx(0, abs=1e-12)


def test_identical_samples_do_not_change():
    counts, design = np.tile(np.arange(10, 50), (6, 1)), cohort(6)[1]
    for n_items in (1, 2, 40):
        found = compare_counts(counts[:, :n_items], np.ones(6), design, [1])
        np.testing.assert_allclose(found.pvalue, 1, atol=1e-6)


def test_an_item_that_one_condition_lacks_has_a_finite_change():
    counts, design = cohort()
    counts[:6, 0], counts[6:, 0] = 0, 50
    found = compare_counts(counts, counts.sum(axis=1).astype(float), design, [1])
    assert 4 < found.estimate[0, 0] < 10
    assert found.pvalue[0, 0] < 1e-6


@pytest.mark.parametrize("value", [1e-6, 0.01, 1.0, 3.0, 1e4])
def test_inverse_trigamma(value):
    assert special.polygamma(1, inverse_trigamma(value)) == pytest.approx(value, rel=1e-8)


def test_moderation_recovers_its_prior():
    rng = np.random.default_rng(0)
    true = 8 * 0.5 / rng.chisquare(8, 100_000)
    variance, prior_df = moderate(true * rng.chisquare(4, len(true)) / 4, 4)
    assert prior_df == pytest.approx(8, rel=0.05)
    assert np.abs(np.log(variance / true)).mean() < np.abs(np.log(true / 0.5)).mean()
    assert (1 / variance).mean() == pytest.approx((1 / true).mean(), rel=0.02)


def test_moderation_at_its_limits():
    variance, prior_df = moderate(np.full(10, 2.0), 4)  # they differ less than by chance
    assert prior_df == np.inf
    assert np.ptp(variance) == 0
    np.testing.assert_array_equal(moderate(np.array([1.0, 2.0]), 4)[0], [1, 2])
    assert np.isfinite(moderate(np.array([0.0, 1.0, 2.0]), 4)[0]).all()


def test_the_reference_is_the_half_that_changes_least():
    counts, design = cohort(fold=6, grown=12)
    sizes = reference_sizes(counts, design, [1])
    assert sizes.sum() == pytest.approx(counts.sum())
    unchanged = np.arange(12, 40)
    by_all = compare_counts(counts, counts.sum(axis=1).astype(float), design, [1])
    by_reference = compare_counts(counts, sizes, design, [1])
    assert np.median(by_all.estimate[0, unchanged]) < -0.5
    assert abs(np.median(by_reference.estimate[0, unchanged])) < 0.2
    assert np.median(by_reference.estimate[0, :12]) == pytest.approx(np.log2(6), abs=0.4)


def test_a_sample_without_reference_cells_keeps_a_positive_size():
    counts, design = cohort(6, 4)
    counts[0] = [200, 0, 0, 0]
    assert (reference_sizes(counts, design, [1]) > 0).all()


@pytest.mark.parametrize("n", [6, 12])
def test_the_level_is_held_under_permutations(n):
    rng, shares = np.random.default_rng(1), []
    for seed in range(40):
        counts, design = cohort(n, 60, seed=seed)
        counts = counts[:, counts.sum(axis=0) >= 10]
        for _ in range(3):
            design[:, 1] = rng.permutation(design[:, 1])
            found = compare_counts(counts, reference_sizes(counts, design, [1]), design, [1])
            shares.append((found.pvalue < 0.05).mean())
    assert 0.03 < np.mean(shares) < 0.055
