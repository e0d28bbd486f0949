from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_mutual_info_score

from scproto._errors import InputError
from scproto.metrics import agreement, best_overlap

cells = st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ABCD"), st.integers(0, 2)), min_size=1, max_size=60)


def naive_overlap(assignment: list[object], others: list[list[object]]) -> list[float]:
    """Mean of the largest Jaccard overlaps, with sets of cells only."""

    def sets(names: list[object]) -> list[set[int]]:
        return [{i for i, name in enumerate(names) if name == one} for one in sorted(set(names))]

    return [
        sum(max(len(own & other) / len(own | other) for other in sets(names)) for names in others) / len(others)
        for own in sets(assignment)
    ]


@given(cells)
def test_overlap_equals_that_of_sets_of_cells(cells):
    assignment, *others = (list(names) for names in zip(*cells, strict=True))
    np.testing.assert_allclose(best_overlap(assignment, others), naive_overlap(assignment, others))


@given(cells)
def test_names_do_not_matter(cells):
    codes = np.array([code for code, _, _ in cells])
    renamed = np.array(["f", "a", "e", "b", "d", "c"])[codes]
    assert (best_overlap(codes, [renamed, codes]) == 1).all()
    assert agreement(codes, [renamed, codes]) == 1


@pytest.mark.parametrize(("n_cells", "kept"), [(2000, 0.3), (2000, 0.8), (400, 0.5)])
def test_agreement_is_close_to_the_exact_one(n_cells, kept):
    rng = np.random.default_rng(0)
    assignment = rng.integers(0, 12, n_cells)
    others = [np.where(rng.random(n_cells) < kept, assignment, rng.integers(0, 12, n_cells)) for _ in range(2)]
    exact = np.mean([adjusted_mutual_info_score(assignment, other) for other in others])
    assert agreement(assignment, others) == pytest.approx(exact, abs=0.02)
    assert agreement(assignment, others, seed=1) == pytest.approx(exact, abs=0.02)


def test_chance_agrees_by_nothing():
    rng = np.random.default_rng(0)
    assert abs(agreement(rng.integers(0, 50, 3000), [rng.integers(0, 50, 3000)])) < 0.02


def test_limits():
    one, each = np.zeros(6, int), np.arange(6)
    np.testing.assert_array_equal(best_overlap(one, [one]), [1])
    np.testing.assert_allclose(best_overlap(one, [each]), [1 / 6])
    np.testing.assert_allclose(best_overlap(each, [one]), np.full(6, 1 / 6))
    np.testing.assert_array_equal(best_overlap(["a"], [["b"]]), [1])
    assert agreement(one, [one]) == agreement(each, [each]) == agreement(["a"], [["b"]]) == 1
    assert agreement(one, [each]) == agreement(each, [one]) == 0


@pytest.mark.parametrize(
    ("others", "message"),
    [([], "no other assignment"), ([[0, 1]], "There are 3 cells"), ([[0, 1, None]], "1 of 3 cells lack a metacell")],
)
@pytest.mark.parametrize("score", [best_overlap, agreement])
def test_other_cells_are_refused(score, others, message):
    with pytest.raises(InputError, match=message):
        score([0, 1, 1], others)
