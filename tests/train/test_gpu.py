"""Training on a GPU; skipped where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import scproto
from scproto.data.module import ViewDataModule
from scproto.data.sampler import Guidance, ViewSampler
from scproto.data.source import gene_share
from scproto.train import Checkpoint
from scproto.train.graphed import GraphedLoss
from scproto.train.plan import PrototypePlan
from scproto.train.schedule import plan_budget

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

CUDA = torch.device("cuda")


@pytest.fixture
def model(tiny_atlas):
    scproto.pp.prepare(tiny_atlas, batch_key="batch")
    scproto.SCPROTO.setup_anndata(tiny_atlas)
    return scproto.SCPROTO(tiny_atlas, n_prototypes=8)


def plan_of(model: scproto.SCPROTO, joint: bool) -> tuple[PrototypePlan, DataLoader]:
    cells = model.cells()
    sampler = ViewSampler(model.reader.neighbors(model.adata), np.argsort(gene_share(cells)), 64, 4)
    sampler.follow(Guidance(np.ones(cells.n_cells), paired=joint))
    plan = PrototypePlan(model.module.to(CUDA).train(), cells, sampler, plan_budget(cells.n_cells, 8, 64, max_steps=80))
    return plan, ViewDataModule(cells, sampler).loader(CUDA)


@pytest.fixture
def sync_is_an_error():
    yield lambda: torch.cuda.set_sync_debug_mode("error")
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("joint", [False, True], ids=["warm_up", "joint"])
def test_a_step_does_not_wait_for_the_device(model, sync_is_an_error, joint):
    plan, loader = plan_of(model, joint)
    optimizer = plan.configure_optimizers()["optimizer"]
    for step, minibatch in enumerate(loader):
        losses = plan._graphed(minibatch, prototypes=joint)
        plan._record(losses, minibatch)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        total = losses.total.detach()
        del losses  # as in training, nothing outlives its step
        if step == 0:  # the first step creates what the others reuse
            sync_is_an_error()
    torch.cuda.set_sync_debug_mode("default")
    assert torch.isfinite(total)


@pytest.mark.parametrize("joint", [False, True], ids=["warm_up", "joint"])
def test_the_graph_computes_the_objective(model, joint):
    _, loader = plan_of(model, joint)
    model.module.encoder.rest[2].n_dropped = 0
    graphed = GraphedLoss(model.module)
    for minibatch in loader:
        results = []
        for objective in (graphed, model.module.loss):
            model.module.zero_grad()
            losses = objective(minibatch, prototypes=joint)
            losses.total.backward()
            gradients = {name: p.grad.clone() for name, p in model.module.named_parameters() if p.grad is not None}
            scores = {} if losses.scores is None else {"scores": losses.scores.clone()}
            results.append({"total": losses.total.detach().clone()} | losses.terms | gradients | scores)
        assert results[0].keys() == results[1].keys()
        for name, found in results[0].items():
            torch.testing.assert_close(found, results[1][name], rtol=1e-4, atol=1e-5, msg=name)
        with torch.no_grad():  # the graph reads the parameters of each step
            model.module.encoder.first.weight += 0.01


def test_same_seed_same_result(model, tiny_atlas):
    model.train(max_steps=120, accelerator="gpu", enable_progress_bar=False)
    again = scproto.SCPROTO(tiny_atlas, n_prototypes=8)
    again.train(max_steps=120, accelerator="gpu", enable_progress_bar=False)
    np.testing.assert_array_equal(again.prototypes, model.prototypes)
    np.testing.assert_array_equal(again.get_latent_representation(), model.get_latent_representation())


def test_a_resumed_training_ends_equal_to_the_last_bit(model, tiny_atlas, tmp_path):
    """The objective is captured again, which must not shift the random numbers."""
    again = scproto.SCPROTO(tiny_atlas, n_prototypes=8)
    path = tmp_path / "training"
    model.train(max_steps=120, accelerator="gpu", enable_progress_bar=False, checkpoint=Checkpoint(path, every_s=0))
    again.train(max_steps=120, accelerator="gpu", enable_progress_bar=False, resume_from=path)
    np.testing.assert_array_equal(again.prototypes, model.prototypes)
    np.testing.assert_array_equal(again.get_latent_representation(), model.get_latent_representation())


def test_a_fit_finds_the_types(model, tiny_atlas):
    model.train(max_steps=400, accelerator="gpu", enable_progress_bar=False)
    assert model.module.device.type == "cuda"
    scproto.tl.assign_metacells(tiny_atlas, model)
    scores = scproto.metrics.metacell_scores(
        tiny_atlas.obs["metacell"].astype(str), tiny_atlas.obs["cell_type"], tiny_atlas.obs["batch"]
    )
    assert scores["purity"] > 0.9


def test_a_model_from_a_gpu_works_on_a_cpu(model, tiny_atlas, tmp_path):
    model.train(max_steps=80, accelerator="gpu", enable_progress_bar=False)
    expected = model.get_latent_representation()
    model.save(tmp_path / "model")
    loaded = scproto.SCPROTO.load(tmp_path / "model", tiny_atlas)
    assert loaded.module.device.type == "cpu"
    np.testing.assert_allclose(loaded.get_latent_representation(), expected, atol=1e-4)
