from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from scproto.losses import alignment_loss


def cells(n_cells: int, n_prototypes: int, n_batches: int, seed: int) -> tuple[torch.Tensor, ...]:
    rng = np.random.default_rng(seed)
    unit = normalize(torch.from_numpy(rng.normal(size=(n_cells, 3))), dim=1)
    scores = torch.from_numpy(rng.uniform(-1, 1, (n_cells, n_prototypes)))
    return unit, scores, torch.from_numpy(rng.integers(0, n_batches, n_cells))


def naive_loss(unit, scores, batch, n_batches, temperature):
    """Loop over prototypes and batches."""
    unit, batch = unit.numpy(), batch.numpy()
    p = np.exp(scores.numpy() / temperature)
    p /= p.sum(axis=1, keepdims=True)
    loss = mass_of_all = 0.0
    for k in range(p.shape[1]):
        mass = {b: p[batch == b, k].sum() for b in range(n_batches) if (batch == b).any()}
        mean = {b: (p[batch == b, k, None] * unit[batch == b]).sum(axis=0) / mass[b] for b in mass}
        trust = {b: mass[b] / (mass[b] + 1) for b in mass}
        centre = sum(trust[b] * mean[b] for b in mass) / sum(trust.values())
        loss += sum(mass[b] * np.sum((trust[b] * (mean[b] - centre)) ** 2) for b in mass)
        mass_of_all += sum(mass.values())
    return loss / mass_of_all


@settings(deadline=None, max_examples=60)
@given(
    n_cells=st.integers(1, 12),
    n_prototypes=st.integers(1, 20),
    n_batches=st.integers(1, 4),
    temperature=st.sampled_from([0.05, 0.5]),
)
def test_equals_a_loop(n_cells, n_prototypes, n_batches, temperature):
    unit, scores, batch = cells(n_cells, n_prototypes, n_batches, seed=n_cells)
    loss = alignment_loss(unit, scores, batch, n_batches, temperature=temperature).item()
    assert loss == pytest.approx(naive_loss(unit, scores, batch, n_batches, temperature), abs=1e-12)


def test_nothing_to_align_in_one_batch_or_in_equal_ones():
    unit, scores, _ = cells(10, 4, 1, seed=0)
    one = torch.zeros(10, dtype=torch.long)
    assert alignment_loss(unit, scores, one, 1).item() == pytest.approx(0.0, abs=1e-15)
    twice = alignment_loss(unit.repeat(2, 1), scores.repeat(2, 1), torch.cat([one, one + 1]), 2)
    assert twice.item() == pytest.approx(0.0, abs=1e-15)


def test_a_step_along_the_gradient_brings_the_batches_together():
    unit, scores, batch = cells(40, 3, 2, seed=1)
    unit.requires_grad_()
    before = alignment_loss(unit, scores, batch, 2, temperature=0.5)
    before.backward()
    after = alignment_loss(unit.detach() - unit.grad, scores, batch, 2, temperature=0.5)
    assert after < before


def test_the_assignment_has_no_gradient_and_absent_batches_do_not_count():
    unit, scores, batch = cells(9, 4, 2, seed=2)
    scores.requires_grad_()
    loss = alignment_loss(unit.requires_grad_(), scores, batch, 2)
    loss.backward()
    assert scores.grad is None
    assert unit.grad.abs().sum() > 0
    torch.testing.assert_close(alignment_loss(unit, scores, batch, 7), loss)


def test_extreme_scores_stay_finite():
    unit, scores, batch = cells(8, 300, 3, seed=3)
    loss = alignment_loss(unit.float().requires_grad_(), 1e4 * scores.float(), batch, 3)
    assert torch.isfinite(loss)
