"""Groups of batches that behave alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scproto.graph import alike_batches, some_of_each
from scproto.graph.batches import place_in_group

N_DIMS, N_POPULATIONS = 12, 6


def cells(
    n_studies: int, n_donors: int, n_each: int = 80, *, study: float = 1.5, donor: float = 0.1, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, donor of each cell and study of each donor; each donor has its own mix of populations."""
    rng = np.random.default_rng(seed)
    centres = 6 * rng.normal(size=(N_POPULATIONS, N_DIMS))
    of_donor = rng.permutation(np.repeat(np.arange(n_studies), n_donors))
    shift = (study * rng.normal(size=(n_studies, N_DIMS)))[of_donor]
    shift = shift + donor * rng.normal(size=shift.shape)
    batch = np.repeat(np.arange(len(of_donor)), n_each)
    mix = rng.dirichlet(2 * np.ones(N_POPULATIONS), len(of_donor))
    population = np.concatenate([rng.choice(N_POPULATIONS, n_each, p=p) for p in mix])
    return centres[population] + shift[batch] + rng.normal(size=(len(batch), N_DIMS)), batch, of_donor


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    return len(np.unique(a)) == len(np.unique(b)) == len(np.unique(np.stack([a, b]), axis=1).T)


@pytest.mark.parametrize(("n_studies", "n_donors"), [(1, 12), (3, 8), (10, 4)])
def test_donors_of_a_study_form_a_group(n_studies, n_donors):
    points, batch, study = cells(n_studies, n_donors)
    group = alike_batches(points, batch)
    assert same_partition(group, study)
    first = np.unique(group, return_index=True)[1]
    assert (np.diff(first) > 0).all()  # numbered in the order of the batches


def test_batches_that_differ_stay_apart():
    points, batch, _ = cells(12, 1)
    np.testing.assert_array_equal(alike_batches(points, batch), np.arange(12))


def test_a_batch_with_an_effect_of_its_own_is_not_hidden_by_many_alike():
    points, batch, _ = cells(1, 40, donor=0)
    points[batch == 7] += 1.5
    group = alike_batches(points, batch)
    assert (group == group[7]).sum() == 1
    assert len(np.unique(group)) == 2


def test_the_same_seed_gives_the_same_groups():
    points, batch, _ = cells(2, 5, donor=0.3)
    np.testing.assert_array_equal(alike_batches(points, batch, seed=3), alike_batches(points, batch, seed=3))


@settings(max_examples=50)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(0, 20))
def test_some_of_each_batch(batch, n_each):
    batch = np.array(batch)
    drawn = some_of_each(batch, n_each, np.random.default_rng(0))
    assert (np.diff(drawn) > 0).all()
    np.testing.assert_array_equal(
        np.bincount(batch[drawn], minlength=6), np.minimum(np.bincount(batch, minlength=6), n_each)
    )


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_place_in_group_equals_a_loop(group):
    expected = [group[:i].count(g) for i, g in enumerate(group)]
    assert place_in_group(np.array(group)).tolist() == expected


@pytest.mark.parametrize("points", [np.zeros((30, 3)), np.arange(90.0).reshape(30, 3)])
def test_batches_of_one_cell(points):
    group = alike_batches(points, np.arange(30))
    assert group.shape == (30,)
    assert set(group) == set(range(group.max() + 1))


@settings(max_examples=10)
@given(st.integers(0, 100))
def test_neither_the_order_of_the_cells_nor_a_shift_of_all_changes_the_groups(seed):
    points, batch, study = cells(3, 4)
    order = np.random.default_rng(seed).permutation(len(batch))
    assert same_partition(alike_batches(points[order] + seed, batch[order], seed=seed), study)
