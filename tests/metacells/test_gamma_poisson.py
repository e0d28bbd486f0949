from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scproto.metacells.gamma_poisson import expected_log1p, posterior_factor


def naive_log1p(mean: float, theta: float | None, scale: float) -> float:
    counts = np.arange(20_000)
    if theta is None:
        probability = stats.poisson.pmf(counts, mean)
    else:
        probability = stats.nbinom.pmf(counts, theta, theta / (theta + mean))
    return float(probability @ np.log1p(scale * counts))


@pytest.mark.parametrize("theta", [None, 0.5, 3.0, 200.0])
@pytest.mark.parametrize("depth", [1.0, 30.0, 1000.0])
def test_expected_log1p_equals_the_sum_over_counts(theta, depth):
    share = np.array([1e-6, 1e-4, 0.01, 0.3, 1.0])
    mean = (share * depth).astype(np.float32)[None]
    scale = np.array([[1e4 / depth]], np.float32)
    found = expected_log1p(mean, None if theta is None else np.full(5, theta, np.float32), scale)
    expected = [naive_log1p(float(m), theta, 1e4 / depth) for m in mean[0]]
    np.testing.assert_allclose(found[0], expected, rtol=2e-4)
    assert found.dtype == np.float32


def test_expected_log1p_takes_one_dispersion_per_entry():
    mean, scale = np.array([[2.0, 5.0], [0.1, 0.0]]), np.array([[10.0], [3.0]])
    theta = np.array([[0.5, 1.0], [2.0, 4.0]])
    expected = [[naive_log1p(mean[i, j], theta[i, j], scale[i, 0]) for j in (0, 1)] for i in (0, 1)]
    np.testing.assert_allclose(expected_log1p(mean, theta, scale), expected, rtol=2e-4, atol=1e-12)


@settings(deadline=None)
@given(st.floats(1e-4, 1e3), st.floats(0.01, 1e3), st.floats(0.01, 1e4))
def test_expected_log1p_is_at_most_log1p_of_the_expectation(mean, theta, scale):
    found = expected_log1p(np.array([[mean]]), np.array([theta]), np.array([[scale]])).item()
    poisson = expected_log1p(np.array([[mean]]), None, np.array([[scale]])).item()
    assert 0 < found <= poisson * (1 + 1e-6) <= np.log1p(scale * mean) * (1 + 1e-4)


def test_posterior_factor_equals_the_integral_over_the_rate():
    counts, expected, theta = np.array([[0.0, 3.0, 7.0]]), np.array([[1.5, 1.5, 0.2]]), np.array([1.2, 4.0, 2.0])
    rate = np.linspace(1e-6, 60, 400_001)
    for j in range(3):
        weight = stats.gamma.pdf(rate, theta[j], scale=expected[0, j] / theta[j]) * stats.poisson.pmf(
            counts[0, j], rate
        )
        mean = (rate * weight).sum() / weight.sum()
        found = expected[0, j] * posterior_factor(counts, expected, theta)[0, j]
        assert found == pytest.approx(mean, rel=2e-3)


@given(st.integers(0, 500), st.floats(1e-6, 500), st.floats(1e-3, 1e4))
def test_posterior_lies_between_prior_and_counts(counts, expected, theta):
    found = expected * posterior_factor(np.float64(counts), np.float64(expected), np.float64(theta))
    low, high = sorted((float(counts), expected))
    assert low - 1e-9 <= found <= high * (1 + 1e-9)
