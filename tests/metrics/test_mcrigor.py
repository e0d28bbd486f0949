from __future__ import annotations

import math

import numpy as np
import pytest

from scproto._errors import InputError
from scproto.metrics import dubious_metacells, dubious_rate, log1p_cp10k, metacell_divergence
from scproto.metrics.mcrigor import Divergences, distance_from_identity


def naive_distance(z: np.ndarray) -> float:
    """Sum over the covariances of all pairs of genes, entry by entry."""
    total = 0.0
    for a in range(z.shape[1]):
        for b in range(z.shape[1]):
            covariance = sum((z[:, a] - z[:, a].mean()) * (z[:, b] - z[:, b].mean())) / (len(z) - 1)
            total += (covariance - (a == b)) ** 2
    return math.sqrt(total)


@pytest.mark.parametrize("shape", [(2, 3), (5, 12), (12, 5)])
def test_distance_equals_the_naive_loop(shape: tuple[int, int]) -> None:
    z = np.random.default_rng(0).normal(2.0, 3.0, shape)
    assert distance_from_identity(z) == pytest.approx(naive_distance(z))


def test_distance_of_uncorrelated_and_of_equal_genes() -> None:
    z = np.array([[1.0, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1]]).T * math.sqrt(3 / 4)
    assert distance_from_identity(z[:, 1:]) == pytest.approx(0, abs=1e-6)
    assert distance_from_identity(z[:, [1, 1, 1]]) == pytest.approx(math.sqrt(6))


def types(n_metacells: int, size: int, mixed: bool, n_genes: int = 150) -> tuple[np.ndarray, np.ndarray]:
    """log1p CP10k of metacells of one type, or of two that differ in all genes; cells differ in depth."""
    rng = np.random.default_rng(0)
    rates = rng.gamma(1.0, 2.0, (2, n_genes))
    metacell = np.repeat(np.arange(n_metacells), size)
    kind = rng.integers(0, 2, len(metacell)) if mixed else metacell % 2
    counts = rng.poisson(rates[kind] * rng.uniform(0.5, 2.0, (len(kind), 1)))
    return log1p_cp10k(counts), metacell


def test_metacells_of_one_type_are_not_dubious_and_mixed_ones_are() -> None:
    assert dubious_rate(*types(40, 25, mixed=False)) <= 0.1
    assert dubious_rate(*types(40, 25, mixed=True)) == 1.0


def test_divergence_equals_the_naive_ratio() -> None:
    x, assignment = types(1, 20, mixed=True, n_genes=50)
    found = metacell_divergence(x, assignment, n_permutations=30)
    dense = x.toarray().astype(float)
    dense = dense[:, (dense > 0).mean(axis=0) > 0.1]
    z = (dense - dense.mean(axis=0)) / dense.std(axis=0, ddof=1)
    rng = np.random.default_rng(5)
    shuffled = np.mean([naive_distance(np.array([rng.permutation(gene) for gene in z.T]).T) for _ in range(2)])
    assert found.observed[0] == pytest.approx(naive_distance(z) / shuffled, rel=0.1)
    cells = np.array([rng.permutation(cell) for cell in z])
    both = np.array([rng.permutation(gene) for gene in cells.T]).T
    assert found.null.mean() == pytest.approx(naive_distance(cells) / naive_distance(both), rel=0.1)


def test_depth_alone_does_not_make_a_metacell_dubious() -> None:
    """Without normalisation, deep cells are high in all genes, and the null has the same correlation."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(3.0 * rng.uniform(0.5, 1.5, (600, 1)), (600, 100)).astype(float)
    found = metacell_divergence(counts, np.arange(600) // 30)
    assert found.observed.mean() > 1.2
    assert found.null.mean() == pytest.approx(found.observed.mean(), rel=0.1)


def test_seed_and_number_of_metacells() -> None:
    x, assignment = types(12, 12, mixed=False)
    first, again, other = (metacell_divergence(x, assignment, max_metacells=5, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.observed, again.observed)
    np.testing.assert_array_equal(first.null, again.null)
    assert first.null.shape == (5, 10)
    assert not np.array_equal(first.null, other.null)


def test_metacells_with_few_cells_or_fewer_than_two_genes_are_not_judged() -> None:
    x, assignment = types(2, 12, mixed=False)
    assignment = np.where(np.arange(24) < 3, 7, assignment)
    found = metacell_divergence(x, assignment)
    np.testing.assert_array_equal(found.names, [1])  # the first has 9 cells left
    np.testing.assert_array_equal(found.sizes, [12])
    assert math.isnan(dubious_rate(x, np.arange(24)))
    assert math.isnan(dubious_rate(np.ones((24, 5)), np.zeros(24)))  # no gene varies
    assert math.isnan(dubious_rate(x[:, :1], np.zeros(24)))


def test_thresholds_come_from_metacells_of_similar_size() -> None:
    sizes = np.repeat([10, 1000], 100)
    null = np.repeat([[1.0], [3.0]], 100, axis=0)
    found = Divergences(np.arange(200), sizes, np.full(200, 2.0), null)
    np.testing.assert_array_equal(dubious_metacells(found), sizes == 10)


def test_the_rate_counts_cells() -> None:
    x, assignment = types(40, 25, mixed=False)
    mixed = np.where(assignment < 2, 0, assignment)  # one metacell of two types and 50 cells
    rate = dubious_rate(x, mixed, n_permutations=30)
    assert 0.05 <= rate <= 0.15


@pytest.mark.parametrize(
    ("options", "message"),
    [({"min_cells": 1}, "at least 2 and 1"), ({"n_permutations": 0}, "at least 2 and 1")],
)
def test_bad_options_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dubious_rate(np.ones((3, 3)), [0, 0, 0], **options)
