from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scproto.losses import propagation_loss


def naive_loss(scores, worst, trim):
    """Sort the distances and average a slice."""
    distance = sorted((1 - max(row) for row in scores.tolist()), reverse=True)
    start = min(math.floor(trim * len(distance)), len(distance) - 1)
    length = max(1, math.ceil(worst * len(distance)))
    return np.mean(distance[start : start + length])


def cosines(n_cells: int, n_prototypes: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (n_cells, n_prototypes)))


@settings(deadline=None, max_examples=80)
@given(
    n_cells=st.integers(1, 15),
    n_prototypes=st.integers(1, 5),
    worst=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    trim=st.sampled_from([0.0, 0.05, 0.25, 0.5, 1.0]),
)
def test_equals_a_loop(n_cells, n_prototypes, worst, trim):
    scores = cosines(n_cells, n_prototypes, seed=n_cells)
    assert propagation_loss(scores, worst=worst, trim=trim).item() == pytest.approx(naive_loss(scores, worst, trim))


def test_by_default_it_is_the_worst_cell_alone():
    scores = cosines(20).requires_grad_()
    distance = 1 - scores.detach().max(1).values
    loss = propagation_loss(scores)
    assert loss.item() == pytest.approx(distance.max().item())
    loss.backward()
    touched = torch.nonzero(scores.grad)
    assert touched.tolist() == [[int(distance.argmax()), int(scores[distance.argmax()].argmax())]]


def test_trim_drops_the_worst_cells():
    scores = torch.tensor([[0.9], [-1.0], [0.2], [0.8]])
    assert propagation_loss(scores, trim=0.25).item() == pytest.approx(0.8)
    assert propagation_loss(scores, worst=1.0, trim=0.25).item() == pytest.approx((0.1 + 0.8 + 0.2) / 3)


@pytest.mark.parametrize(("worst", "trim"), [(0.0, 0.0), (1.0, 0.0), (0.5, 1.0)])
def test_one_cell_is_never_trimmed(worst, trim):
    assert propagation_loss(torch.tensor([[0.25, -1.0]]), worst=worst, trim=trim).item() == pytest.approx(0.75)


def test_no_loss_where_every_cell_lies_on_a_prototype():
    assert propagation_loss(torch.eye(3)).item() == 0
