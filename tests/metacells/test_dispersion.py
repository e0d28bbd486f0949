from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from scproto.metacells.dispersion import LOG_THETA, dispersion_likelihood, most_likely_theta


def draw(theta: np.ndarray, n_cells: int, mean: float = 3.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Counts of genes with these inverse dispersions, and what is expected of them."""
    rng = np.random.default_rng(seed)
    expected = mean * rng.lognormal(sigma=0.5, size=(n_cells, len(theta)))
    counts = rng.poisson(expected * rng.gamma(theta, 1 / theta, (n_cells, len(theta))))
    return counts.astype(np.float32), expected.astype(np.float32)


def test_likelihoods_equal_those_of_scipy_up_to_a_constant_per_gene():
    counts, expected = draw(np.array([0.5, 2.0, 30.0]), 40)
    found = dispersion_likelihood(counts, expected)
    for gene in range(3):
        for i, log_theta in enumerate(LOG_THETA):
            theta = np.exp(log_theta)
            by_loop = sum(
                stats.nbinom.logpmf(x, theta, theta / (theta + mu))
                for x, mu in zip(counts[:, gene], expected[:, gene].astype(float), strict=True)
            )
            if i == 0:
                constant = by_loop - found[i, gene]
            assert by_loop - found[i, gene] == pytest.approx(constant, rel=1e-4, abs=1e-3)


def test_parts_of_the_cells_add_up():
    counts, expected = draw(np.array([0.5, 2.0]), 60)
    parts = sum(dispersion_likelihood(counts[rows], expected[rows]) for rows in (slice(0, 11), slice(11, 60)))
    np.testing.assert_allclose(parts, dispersion_likelihood(counts, expected), rtol=1e-5)


def test_true_dispersions_are_found():
    theta = np.array([0.3, 0.5, 1.0, 2.0, 5.0, 10.0])
    found = most_likely_theta(dispersion_likelihood(*draw(theta, 5000)))
    np.testing.assert_allclose(found, theta, rtol=0.2)


def test_a_gene_with_few_counts_takes_the_dispersion_of_the_others():
    counts, expected = draw(np.full(50, 1.0), 500)
    counts[:, 0], expected[:, 0] = 0, 1e-4
    counts[3, 0] = 1
    found = most_likely_theta(dispersion_likelihood(counts, expected))
    assert found[0] == pytest.approx(1.0, rel=0.25)


@pytest.mark.parametrize("counts", [np.zeros((1, 2)), np.zeros((5, 2)), np.full((1, 2), 1e6)])
def test_limits(counts):
    found = most_likely_theta(dispersion_likelihood(counts.astype(np.float32), np.full(counts.shape, 1e-6, np.float32)))
    assert np.isfinite(found).all()
    assert (found > 0).all()
