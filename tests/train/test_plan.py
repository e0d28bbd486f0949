from __future__ import annotations

import numpy as np
import pytest
import torch
from anndata import AnnData

from scproto import pp
from scproto.data.minibatch import gather
from scproto.data.sampler import Request
from scproto.datasets import simulate_atlas
from scproto.model import SCPROTO
from scproto.train.schedule import plan_budget

ALWAYS = {"loss", "loss_reconstruction"}
AFTER_WARM_UP = {
    "loss_swav",
    "loss_propagation",
    "prototypes_used",
    "share_used",
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
    warm_up = plan_budget(90, 8, 32, max_steps=40).n_warmup_epochs
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
        "share_used": (0.1, 1.1),
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
    """Losses in training are noisy. So all cells and genes are decoded without dropout, before and after."""
    losses = []
    for network in (fit(atlas, 1), model):
        cells = network.cells()
        minibatch = gather(cells, Request(np.arange(90)[np.newaxis], np.arange(cells.n_genes)))
        with torch.no_grad():
            losses.append(network.module.loss(minibatch, prototypes=False).terms["reconstruction"].item())
    assert losses[1] < losses[0] - 1.5


@pytest.mark.parametrize("max_steps", [1, 2, 5])
def test_very_few_steps(atlas, max_steps):
    model = fit(atlas, max_steps)
    assert len(model.history["loss"]) == max_steps
    assert len(model.history["loss_swav"]) >= 1
    assert np.isfinite(model.get_latent_representation()).all()


def test_a_training_whose_prototypes_have_collapsed_goes_on_and_warns(atlas, monkeypatch, caplog):
    """A loss that never falls would stop it early."""
    monkeypatch.setattr("scproto.train.plan.describe_collapse", lambda *_: "Only 1 prototype is in use.")
    monkeypatch.setattr("scproto.train.runner.PATIENCE", 2)
    with caplog.at_level("WARNING", "scproto"):
        model = fit(atlas, 40, early_stopping=True, learning_rate=1e-12)
    assert len(model.history["loss"]) == 40
    assert caplog.text.count("Only 1 prototype is in use.") == 1


def test_a_training_that_gets_no_better_is_stopped(atlas, monkeypatch):
    monkeypatch.setattr("scproto.train.runner.PATIENCE", 2)
    assert len(fit(atlas, 40, early_stopping=True, learning_rate=1e-12).history["loss"]) < 40
