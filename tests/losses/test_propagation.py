from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scproto.losses import propagation_loss


def naive_loss(scores):
    """Loop over the cells to find the one that is farthest from its nearest prototype."""
    worst = -1.0
    for row in scores.tolist():
        worst = max(worst, 1 - max(row))
    return worst


def cosines(n_cells: int, n_prototypes: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (n_cells, n_prototypes)))


@settings(deadline=None, max_examples=80)
@given(n_cells=st.integers(1, 15), n_prototypes=st.integers(1, 5))
def test_equals_a_loop(n_cells, n_prototypes):
    scores = cosines(n_cells, n_prototypes, seed=n_cells)
    assert propagation_loss(scores).item() == pytest.approx(naive_loss(scores))


def test_only_the_farthest_cell_has_a_gradient():
    scores = cosines(20).requires_grad_()
    distance = 1 - scores.detach().max(1).values
    loss = propagation_loss(scores)
    assert loss.item() == pytest.approx(distance.max().item())
    loss.backward()
    touched = torch.nonzero(scores.grad)
    assert touched.tolist() == [[int(distance.argmax()), int(scores[distance.argmax()].argmax())]]


def test_one_cell():
    assert propagation_loss(torch.tensor([[0.25, -1.0]])).item() == pytest.approx(0.75)


def test_loss_is_zero_if_every_cell_lies_on_a_prototype():
    assert propagation_loss(torch.eye(3)).item() == 0
