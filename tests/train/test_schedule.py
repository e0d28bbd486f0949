from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scproto._errors import InputError
from scproto.train.schedule import Budget, plan_budget


@pytest.mark.parametrize(
    ("n_cells", "n_prototypes", "batch_size", "max_steps", "expected"),
    [
        (2, 2, 256, None, Budget(40, 25, 20)),
        (4266, 50, 256, None, Budget(40, 25, 20)),  # the minimum
        (6400, 50, 256, None, Budget(39, 38, 20)),  # 60 passes
        (6400, 1000, 256, None, Budget(39, 38, 20)),  # 60 passes
        (8534, 250, 256, None, Budget(40, 50, 20)),  # the maximum
        (256_000, 250, 256, None, Budget(40, 50, 20)),
        (256_000, 1000, 256, None, Budget(40, 200, 20)),  # eight steps per prototype
        (500_000, 250, 256, None, Budget(39, 98, 20)),  # two passes
        (500, 9, 256, 400, Budget(40, 10, 20)),
        (500, 9, 256, 40, Budget(40, 1, 20)),
        (500, 9, 256, 5, Budget(5, 1, 2)),
        (500, 9, 256, 2, Budget(2, 1, 1)),
        (500, 9, 256, 1, Budget(1, 1, 0)),  # no step to spare for a warm-up
    ],
)
def test_division_of_the_steps(n_cells, n_prototypes, batch_size, max_steps, expected):
    assert plan_budget(n_cells, n_prototypes, batch_size, max_steps=max_steps) == expected


@pytest.mark.parametrize("max_steps", [0, -5, 2.5, "40", True])
def test_impossible_numbers_of_steps_are_refused(max_steps):
    with pytest.raises(InputError, match=f"max_steps={max_steps!r} does not work: give a whole number of at least 1"):
        plan_budget(500, 9, 256, max_steps=max_steps)


@pytest.mark.parametrize("batch_size", [0, -1, 0.5, None])
def test_impossible_batch_sizes_are_refused(batch_size):
    with pytest.raises(InputError, match=f"batch_size={batch_size} does not work"):
        plan_budget(500, 9, batch_size)


@settings(deadline=None)
@given(n_cells=st.integers(2, 10**7), batch_size=st.integers(1, 4096), max_steps=st.integers(1, 10_000))
def test_max_steps_is_never_exceeded_and_some_epochs_follow_the_warm_up(n_cells, batch_size, max_steps):
    budget = plan_budget(n_cells, 9, batch_size, max_steps=max_steps)
    assert max_steps - max_steps / 40 - 1 < budget.n_steps <= max_steps
    assert 0 <= budget.n_warmup_epochs < budget.n_epochs


@settings(deadline=None)
@given(n_cells=st.integers(2, 10**7), n_prototypes=st.integers(1, 3000), batch_size=st.integers(1, 4096))
def test_the_default_is_60_passes_within_bounds_or_two_passes(n_cells, n_prototypes, batch_size):
    n_steps = plan_budget(n_cells, n_prototypes, batch_size).n_steps
    one_pass = n_cells / batch_size
    wanted = max(min(max(60 * one_pass, 1000), max(2000, 8 * n_prototypes)), 2 * one_pass)
    assert wanted - wanted / 40 - 1 < n_steps < wanted + 1
