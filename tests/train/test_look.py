"""Looks at the whole embedding: what they set, and when the plan takes them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn import functional as F

from scproto.data.memory import MemoryCells
from scproto.data.sampler import ViewSampler
from scproto.graph import mutual_neighbors, within_batch_neighbors
from scproto.network.module import PrototypeModule
from scproto.nn import density_weights, prototype_shares, spherical_kmeans
from scproto.train.look import N_SPREAD, REFRESH_EVERY, first_prototypes
from scproto.train.plan import PrototypePlan
from scproto.train.schedule import plan_budget


def plan_of(module: PrototypeModule, **arguments) -> PrototypePlan:
    counts = sp.csr_matrix(np.random.default_rng(0).poisson(1.0, (20, 6)).astype(np.float32))
    batch = np.arange(20) % module.n_batches
    sampler = ViewSampler(within_batch_neighbors(counts.toarray(), batch, 3), np.arange(6), 5, 1)
    return PrototypePlan(module, MemoryCells(counts, batch), sampler, plan_budget(20, 4, 5, max_steps=40), **arguments)


def unit_rows(rows: list[list[float]]) -> Tensor:
    return F.normalize(torch.tensor(rows), dim=1)


@pytest.fixture
def start_epoch(monkeypatch):
    """Start the epoch of a plan that comes this many epochs after the warm-up, with a given embedding."""

    def start(plan: PrototypePlan, cells: Tensor, after_warm_up: int) -> None:
        monkeypatch.setattr(PrototypePlan, "current_epoch", plan.budget.n_warmup_epochs + after_warm_up)
        monkeypatch.setattr("scproto.train.plan.embed", lambda *_: cells.clone())
        plan.on_train_epoch_start()

    return start


FAR = unit_rows([[1, 0.1, 0], [1, 0, 0.1], [0, 1, 0], [0, 0.2, 1], [0.6, 0.6, -0.6]]).repeat(4, 1)
"""Two cells near the first axis, one on the second, and two far from the prototypes below; each four times."""
PROTOTYPES = unit_rows([[1, 0, 0], [-1, -0.1, -0.1], [0, 1, 0.3], [-0.9, -1, 0]])
"""The second and the fourth are nearest to no cell."""


def test_a_look_spreads_prototypes_that_have_collapsed(start_epoch):
    plan = plan_of(PrototypeModule(6, 1, 4, n_latent=3, n_hidden=4))
    plan.module.prototypes.data.copy_(3 * PROTOTYPES)  # the optimiser does not keep their length
    start_epoch(plan, FAR, REFRESH_EVERY)
    moved = plan.module.unit_prototypes.detach()
    assert len((FAR @ PROTOTYPES.T).argmax(1).unique()) == 2
    assert len((FAR @ moved.T).argmax(1).unique()) == 4
    weights = density_weights(FAR, PROTOTYPES).numpy()
    expected = spherical_kmeans(FAR.numpy(), 4, weights=weights, init=PROTOTYPES.numpy(), n_iterations=N_SPREAD)
    np.testing.assert_allclose(moved, expected, atol=1e-6)


@pytest.mark.parametrize("after_warm_up", [1, REFRESH_EVERY - 1, REFRESH_EVERY + 1])
def test_prototypes_stay_between_the_looks(start_epoch, after_warm_up):
    plan = plan_of(PrototypeModule(6, 1, 4, n_latent=3, n_hidden=4))
    plan.module.prototypes.data.copy_(PROTOTYPES)
    start_epoch(plan, FAR, after_warm_up)
    torch.testing.assert_close(plan.module.unit_prototypes.detach(), PROTOTYPES)


def test_nothing_is_paired_in_the_warm_up(start_epoch):
    plan = plan_of(PrototypeModule(6, 2, 4, n_latent=3, n_hidden=4))
    before = plan.module.prototypes.detach().clone()
    start_epoch(plan, FAR, -1)
    assert not plan.sampler.guidance.paired
    assert plan.sampler.guidance.cross is None
    assert (plan.sampler.guidance.weights == 1).all()
    assert not plan.module.log_share.any()
    assert torch.equal(plan.module.prototypes.detach(), before)


@pytest.mark.parametrize("n_batches", [1, 2])
def test_prototypes_start_on_the_cells(start_epoch, n_batches):
    plan = plan_of(PrototypeModule(6, n_batches, 2, n_latent=3, n_hidden=4))
    cells = unit_rows([[1.0, 0.1 * i, 0] if i % 4 < 2 else [0, 0.1 * i, 1] for i in range(20)])
    start_epoch(plan, cells, 0)
    assert plan.sampler.guidance.paired
    assert (plan.sampler.guidance.cross is not None) == (n_batches > 1)
    nearest = (cells @ plan.module.unit_prototypes.detach().T).max(1)
    assert nearest.values.mean() > 0.8
    assert len(nearest.indices.unique()) == 2


TWO_GROUPS = unit_rows([[1.0, 0.1 * i, 0] if i % 3 else [0.3, 0.1 * i, 1] for i in range(20)])


def test_prototypes_start_from_cells_weighted_by_density(start_epoch):
    plan = plan_of(PrototypeModule(6, 2, 3, n_latent=3, n_hidden=4, n_alignment=0))
    start_epoch(plan, TWO_GROUPS, 0)
    evenly = torch.from_numpy(spherical_kmeans(TWO_GROUPS.numpy(), 3))
    weights = density_weights(TWO_GROUPS, evenly).numpy()
    expected = spherical_kmeans(TWO_GROUPS.numpy(), 3, weights=weights)
    np.testing.assert_allclose(plan.module.unit_prototypes.detach(), expected, atol=1e-6)


def test_prototypes_and_shares_start_from_aligned_batches(start_epoch):
    plan = plan_of(PrototypeModule(6, 2, 3, n_latent=3, n_hidden=4))
    start_epoch(plan, TWO_GROUPS, 0)
    batch, first = torch.from_numpy(plan.source.batch), first_prototypes(TWO_GROUPS, 3, 0)
    _, moved, aligned = plan.module.align(TWO_GROUPS, batch, first)
    assert not torch.allclose(aligned, TWO_GROUPS, atol=1e-3)
    torch.testing.assert_close(plan.module.unit_prototypes.detach(), moved)
    torch.testing.assert_close(plan.module.log_share.exp(), prototype_shares(aligned, batch, moved, 2))


def test_later_shares_are_those_of_the_cells_before_alignment(start_epoch):
    plan = plan_of(PrototypeModule(6, 2, 3, n_latent=3, n_hidden=4))
    plan.module.prototypes.data.copy_(TWO_GROUPS[[0, 1, 2]])
    start_epoch(plan, TWO_GROUPS, REFRESH_EVERY)
    prototypes = plan.module.unit_prototypes.detach()
    expected = prototype_shares(TWO_GROUPS, torch.from_numpy(plan.source.batch), prototypes, 2)
    torch.testing.assert_close(plan.module.log_share.exp(), expected)


@pytest.mark.parametrize("start", [True, False])
def test_pairs_across_batches_are_aligned_cells_drawn_until_the_next_look(start_epoch, start):
    plan = plan_of(PrototypeModule(6, 2, 3, n_latent=3, n_hidden=4), n_mutual=2)
    plan.module.prototypes.data.copy_(TWO_GROUPS[[0, 1, 2]])
    start_epoch(plan, TWO_GROUPS, 0 if start else REFRESH_EVERY)
    found, batch = plan.sampler.guidance.cross.to_sparse().tocoo(), torch.from_numpy(plan.source.batch)
    drawn = np.unique([request.views[0] for _ in range(REFRESH_EVERY) for request in plan.sampler])
    if start:
        aligned = plan.module.align(TWO_GROUPS, batch, first_prototypes(TWO_GROUPS, 3, 0))[2][drawn]
    else:
        aligned = plan.module.align(TWO_GROUPS[drawn], batch[drawn], plan.module.unit_prototypes.detach())[2]
    expected = mutual_neighbors(aligned.numpy(), plan.source.batch[drawn], 2).to_sparse().tocoo()
    assert 2 < len(drawn) < 20
    pairs = zip(drawn[expected.row], drawn[expected.col], strict=True)
    assert set(zip(found.row, found.col, strict=True)) == set(pairs)
    assert (batch[found.row] != batch[found.col]).all()


@pytest.mark.parametrize("after_warm_up", [0, REFRESH_EVERY])
def test_a_look_weights_the_cells_to_draw_by_density(start_epoch, after_warm_up):
    plan = plan_of(PrototypeModule(6, 2, 3, n_latent=3, n_hidden=4))
    start_epoch(plan, TWO_GROUPS, after_warm_up)
    expected = density_weights(TWO_GROUPS, plan.module.unit_prototypes.detach()).numpy()
    np.testing.assert_allclose(plan.sampler.guidance.weights, expected, rtol=1e-5)
    assert expected.std() > 0.01


def test_shares_and_weights_stay_between_the_looks(start_epoch):
    plan = plan_of(PrototypeModule(6, 2, 3, n_latent=3, n_hidden=4))
    start_epoch(plan, TWO_GROUPS, 0)
    shares, weights = plan.module.log_share.clone(), plan.sampler.guidance.weights.copy()
    start_epoch(plan, FAR, 1)
    assert torch.equal(plan.module.log_share, shares)
    np.testing.assert_array_equal(plan.sampler.guidance.weights, weights)
