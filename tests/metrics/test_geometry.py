from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scproto._errors import InputError
from scproto.metrics import (
    compactness_variance,
    coverage_quantiles,
    diffusion_components,
    geometry_scores,
    separation_distance,
)

cells = st.lists(
    st.tuples(st.integers(0, 4), st.floats(-9, 9, width=32), st.floats(-9, 9, width=32)), min_size=1, max_size=40
)


def split(drawn: list[tuple[int, float, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([cell[1:] for cell in drawn]), np.array([cell[0] for cell in drawn])


def by_metacell(x: np.ndarray, assignment: np.ndarray) -> list[list[np.ndarray]]:
    return [[x[i] for i in range(len(x)) if assignment[i] == name] for name in sorted(set(assignment.tolist()))]


def mean(values: list) -> float:
    return sum(values) / len(values) if values else math.nan


@settings(deadline=None)  # the first call imports modules
@given(cells)
def test_compactness_equals_the_naive_loop(drawn) -> None:
    x, assignment = split(drawn)
    naive = []
    for own in by_metacell(x, assignment):
        if len(own) > 1:
            per_component = []
            for component in range(x.shape[1]):
                values = [cell[component] for cell in own]
                per_component.append(sum((v - mean(values)) ** 2 for v in values) / (len(values) - 1))
            naive.append(mean(per_component))
    assert compactness_variance(x, assignment) == pytest.approx(mean(naive), nan_ok=True)


@settings(deadline=None)  # the first call imports modules
@given(cells)
def test_separation_equals_the_naive_loop(drawn) -> None:
    x, assignment = split(drawn)
    centroids = [mean(own) for own in by_metacell(x, assignment)]
    nearest = [
        min(math.dist(one, other) for j, other in enumerate(centroids) if j != i)
        for i, one in enumerate(centroids)
        if len(centroids) > 1
    ]
    assert separation_distance(x, assignment) == pytest.approx(mean(nearest), nan_ok=True, abs=1e-9)


@settings(deadline=None)  # the first call imports modules
@given(cells)
def test_coverage_equals_the_naive_loop(drawn) -> None:
    x, assignment = split(drawn)
    centroids = [mean(own) for own in by_metacell(x, assignment)]
    nearest = [min(math.dist(cell, centroid) for centroid in centroids) for cell in x]
    spread = math.sqrt(mean([math.dist(cell, x.mean(axis=0)) ** 2 for cell in x])) or 1.0
    expected = {f"coverage_distance_q{q}": np.quantile(nearest, q / 100) / spread for q in (50, 100)}
    assert coverage_quantiles(x, assignment, (0.5, 1)) == pytest.approx(expected, abs=1e-9)


def test_coverage_does_not_depend_on_the_unit_of_the_embedding() -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    assignment = np.arange(60) // 10
    assert coverage_quantiles(1000 * x, assignment) == pytest.approx(coverage_quantiles(x, assignment))


def test_distances_to_a_single_metacell_are_in_units_of_their_root_mean_square() -> None:
    x = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    assert coverage_quantiles(x, np.zeros(4), (0.5,)) == pytest.approx({"coverage_distance_q50": 1.0})
    assert math.isnan(separation_distance(x, np.zeros(4)))


def test_metacells_of_one_cell_are_left_out_of_compactness() -> None:
    x = np.array([[0.0, 0], [2, 0], [50, 50]])
    assert compactness_variance(x, [0, 0, 1]) == pytest.approx(1.0)
    assert math.isnan(compactness_variance(x, [0, 1, 2]))


def blobs(n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Four well-separated populations."""
    rng = np.random.default_rng(0)
    population = np.arange(n_cells) % 4
    return np.eye(4)[population] * 20 + rng.normal(size=(n_cells, 4)), population


def test_diffusion_components_separate_populations_and_follow_the_seed() -> None:
    x, population = blobs(120)
    components = diffusion_components(x, n_components=5, n_neighbors=10)
    assert components.shape == (120, 5)
    np.testing.assert_array_equal(components, diffusion_components(x, n_components=5, n_neighbors=10))
    random = np.random.default_rng(1).permutation(population)
    assert compactness_variance(components, population) < 0.5 * compactness_variance(components, random)


def test_all_scores_of_few_cells() -> None:
    x, population = blobs(24)
    assert set(geometry_scores(x, population)) == {
        "compactness_variance",
        "separation_distance",
        "coverage_distance_q50",
        "coverage_distance_q90",
        "coverage_distance_q99",
    }
    assert "separation_distance" not in geometry_scores(x, np.zeros(24))
    assert set(geometry_scores(x[:4], population[:4])) == {f"coverage_distance_q{q}" for q in (50, 90, 99)}
    with pytest.raises(InputError, match="at least 5"):
        diffusion_components(x[:4])


@pytest.mark.parametrize("score", [compactness_variance, separation_distance, coverage_quantiles])
@pytest.mark.parametrize(
    ("x", "assignment", "message"),
    [
        (np.ones(3), [0, 0, 1], "shape \\(3,\\)"),
        (np.array([[1.0], [np.nan]]), [0, 1], "NaN or infinite"),
        (np.ones((2, 2)), [0, 1, 1], "There are 2 cells"),
        (np.ones((2, 2)), [None, "a"], "1 of 2 cells lack a metacell"),
        (np.ones((0, 2)), [], "There are 0 cells"),
    ],
    ids=["flat", "not finite", "lengths differ", "metacell missing", "no cell"],
)
def test_bad_input_is_refused(score, x, assignment, message: str) -> None:
    with pytest.raises(InputError, match=message):
        score(x, assignment)


def test_cells_in_one_place_have_no_diffusion_map(caplog):
    points = np.repeat(np.eye(2), 30, axis=0)
    with pytest.raises(InputError, match="lie in one place"):
        diffusion_components(points)
    with caplog.at_level("INFO"):
        scores = geometry_scores(points, np.arange(60) // 30)
    assert set(scores) == {"coverage_distance_q50", "coverage_distance_q90", "coverage_distance_q99"}
    assert "Compactness and separation are left out" in caplog.text
