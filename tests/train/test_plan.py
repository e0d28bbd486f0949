from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData
from torch import Tensor
from torch.nn import functional as F

from scproto import pp
from scproto.data.memory import MemoryCells
from scproto.data.minibatch import gather
from scproto.data.sampler import Request, ViewSampler
from scproto.datasets import simulate_atlas
from scproto.graph import mutual_neighbors, within_batch_neighbors
from scproto.model import SCPROTO
from scproto.network import embed
from scproto.network.module import PrototypeModule
from scproto.nn import density_weights, prototype_shares, spherical_kmeans
from scproto.train.look import REFRESH_EVERY, first_prototypes
from scproto.train.plan import PrototypePlan
from scproto.train.schedule import plan_budget

ALWAYS = {"loss", "loss_reconstruction"}
AFTER_WARM_UP = {
    "loss_swav",
    "loss_propagation",
    "prototypes_used",
    "perplexity",
    "perplexity_batch",
    "nearest_cosine",
}


def fit(atlas: AnnData, max_steps: int, **arguments) -> SCPROTO:
    SCPROTO.setup_anndata(atlas)
    model = SCPROTO(atlas, n_prototypes=8, n_hidden=16)
    model.train(max_steps, accelerator="cpu", enable_progress_bar=False, batch_size=32, **arguments)
    return model


@pytest.fixture(scope="module")
def atlas() -> AnnData:
    atlas = simulate_atlas(90, 50, 2, 3, depth=300, seed=2)
    pp.prepare(atlas, "batch")
    return atlas


@pytest.fixture(scope="module")
def model(atlas: AnnData) -> SCPROTO:
    return fit(atlas, 40, early_stopping=False)


def test_history_has_every_quantity_from_its_first_epoch_on(model):
    warm_up = plan_budget(90, 32, max_steps=40).n_warmup_epochs
    assert set(model.history) >= ALWAYS | AFTER_WARM_UP
    for name in ALWAYS | AFTER_WARM_UP:
        frame = model.history[name]
        assert list(frame.columns) == [name]
        assert frame.index.name == "epoch"
        assert frame.index.tolist() == list(range(0 if name in ALWAYS else warm_up, 40))
        assert np.isfinite(frame[name].to_numpy(float)).all()


def test_history_lies_in_the_range_of_each_quantity(model):
    ranges = {
        "prototypes_used": (1, 8),
        "perplexity": (1, 8.001),
        "perplexity_batch": (1, 8.001),
        "nearest_cosine": (-1, 1.001),
        "loss_propagation": (0, 2),
    }
    for name, (low, high) in ranges.items():
        assert model.history[name][name].between(low, high).all(), name


def test_loss_is_the_weighted_sum_of_its_terms(model):
    table = {name: frame[name] for name, frame in model.history.items()}
    weight = model.module.weight_cvae
    total = table["loss_swav"] + table["loss_propagation"] + weight * table["loss_reconstruction"]
    expected = total.where(total.notna(), weight * table["loss_reconstruction"])
    np.testing.assert_allclose(table["loss"].to_numpy(float), expected.to_numpy(float), rtol=1e-4)


def test_the_autoencoder_learns(atlas, model):
    """Its losses in training are noisy, so that all cells and genes are decoded without dropout, before and after."""
    losses = []
    for network in (fit(atlas, 1), model):
        cells = network.cells()
        minibatch = gather(cells, Request(np.arange(90)[np.newaxis], np.arange(cells.n_genes)))
        with torch.no_grad():
            losses.append(network.module.loss(minibatch, prototypes=False).terms["reconstruction"].item())
    assert losses[1] < losses[0] - 1.5


@pytest.mark.parametrize("max_steps", [1, 2, 5])
def test_hardly_any_step(atlas, max_steps):
    model = fit(atlas, max_steps)
    assert len(model.history["loss"]) == max_steps
    assert len(model.history["loss_swav"]) >= 1
    assert np.isfinite(model.get_latent_representation()).all()


def plan_of(module: PrototypeModule, **arguments) -> PrototypePlan:
    counts = sp.csr_matrix(np.random.default_rng(0).poisson(1.0, (20, 6)).astype(np.float32))
    batch = np.arange(20) % module.n_batches
    sampler = ViewSampler(within_batch_neighbors(counts.toarray(), batch, 3), np.arange(6), 5, 1)
    return PrototypePlan(module, MemoryCells(counts, batch), sampler, plan_budget(20, 5, max_steps=40), **arguments)


def unit_rows(rows: list[list[float]]) -> Tensor:
    return F.normalize(torch.tensor(rows), dim=1)


@pytest.fixture
def start_epoch(monkeypatch):
    """Start an epoch of a plan, so many epochs after the warm-up, with a given embedding."""

    def start(plan: PrototypePlan, cells: Tensor, after_warm_up: int) -> None:
        monkeypatch.setattr(PrototypePlan, "current_epoch", plan.budget.n_warmup_epochs + after_warm_up)
        monkeypatch.setattr("scproto.train.plan.embed", lambda *_: cells.clone())
        plan.on_train_epoch_start()

    return start


FAR = unit_rows([[1, 0.1, 0], [1, 0, 0.1], [0, 1, 0], [0, 0.2, 1], [0.6, 0.6, -0.6]]).repeat(4, 1)
"""Two cells near the first axis, one on the second, and two far from the prototypes below; each four times."""
PROTOTYPES = unit_rows([[1, 0, 0], [-1, -0.1, -0.1], [0, 1, 0.3], [-0.9, -1, 0]])
"""The second and the fourth are no cell's nearest."""


def test_reseeding_moves_prototypes_without_cells_onto_the_farthest_cells(start_epoch):
    plan = plan_of(PrototypeModule(6, 1, 4, n_latent=3, n_hidden=4))
    plan.module.prototypes.data.copy_(3 * PROTOTYPES)  # the optimiser does not keep their length
    start_epoch(plan, FAR, REFRESH_EVERY)
    moved = plan.module.unit_prototypes.detach()
    torch.testing.assert_close(moved[[0, 2]], PROTOTYPES[[0, 2]])
    expected = sorted(FAR[[3, 4]].tolist())
    np.testing.assert_allclose(sorted(moved[[1, 3]].tolist()), expected, atol=1e-6)


@pytest.mark.parametrize("after_warm_up", [1, REFRESH_EVERY + 1, 6 * REFRESH_EVERY])
def test_prototypes_stay_between_the_looks_and_at_the_end(start_epoch, after_warm_up):
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


def test_prototypes_and_shares_start_where_the_batches_are_together(start_epoch):
    plan = plan_of(PrototypeModule(6, 2, 3, n_latent=3, n_hidden=4))
    start_epoch(plan, TWO_GROUPS, 0)
    batch, first = torch.from_numpy(plan.source.batch), first_prototypes(TWO_GROUPS, 3, 0)
    _, moved, aligned = plan.module.align(TWO_GROUPS, batch, first)
    assert not torch.allclose(aligned, TWO_GROUPS, atol=1e-3)
    torch.testing.assert_close(plan.module.unit_prototypes.detach(), moved)
    torch.testing.assert_close(plan.module.log_share.exp(), prototype_shares(aligned, batch, moved, 2))


def test_later_shares_are_those_of_the_cells_as_they_lie(start_epoch):
    plan = plan_of(PrototypeModule(6, 2, 3, n_latent=3, n_hidden=4))
    plan.module.prototypes.data.copy_(TWO_GROUPS[[0, 1, 2]])
    start_epoch(plan, TWO_GROUPS, REFRESH_EVERY)
    torch.testing.assert_close(plan.module.unit_prototypes.detach(), TWO_GROUPS[[0, 1, 2]])
    expected = prototype_shares(TWO_GROUPS, torch.from_numpy(plan.source.batch), TWO_GROUPS[[0, 1, 2]], 2)
    torch.testing.assert_close(plan.module.log_share.exp(), expected)


@pytest.mark.parametrize("start", [True, False])
def test_pairs_across_are_of_aligned_cells_that_are_drawn_until_the_next_look(start_epoch, start):
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
def test_a_look_weighs_the_cells_to_draw_by_density(start_epoch, after_warm_up):
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


def test_the_assignment_of_a_minibatch_follows_the_shares():
    torch.manual_seed(0)
    module = PrototypeModule(6, 2, 3, n_latent=3, n_hidden=4).eval()  # no dropout
    counts = sp.csr_matrix(np.random.default_rng(0).poisson(1.0, (20, 6)).astype(np.float32))
    cells = gather(MemoryCells(counts, np.arange(20) % 2), Request(np.arange(20).reshape(2, 10), np.arange(6)))

    def swav() -> float:
        return module.loss(cells, prototypes=True).terms["swav"].item()

    by_itself = swav()
    module.set_shares(torch.full((2, 3), 1 / 3))
    assert swav() == pytest.approx(by_itself, abs=1e-5)
    module.set_shares(torch.tensor([[0.98, 0.01, 0.01], [0.01, 0.01, 0.98]]))
    assert abs(swav() - by_itself) > 0.01


def test_embedding_does_not_depend_on_chunks_and_keeps_the_mode():
    plan = plan_of(PrototypeModule(6, 2, 3, n_latent=4, n_hidden=4))
    plan.module.train()
    whole = embed(plan.module, plan.source)
    assert plan.module.training
    assert whole.shape == (20, 4)
    assert not whole.requires_grad
    torch.testing.assert_close(embed(plan.module, plan.source, chunk=7), whole)
