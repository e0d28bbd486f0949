"""How training leaves the process and the model: after Ctrl-C, after an error, and in the log."""

from __future__ import annotations

import logging
import os
import signal

import lightning.pytorch as lightning
import numpy as np
import pytest
import torch
from anndata import AnnData

from scproto import _lightning, pp
from scproto._errors import InputError
from scproto.datasets import simulate_atlas
from scproto.model import SCPROTO

CPU = {"accelerator": "cpu", "enable_progress_bar": False, "batch_size": 32}


@pytest.fixture(scope="module")
def cells() -> AnnData:
    adata = simulate_atlas(60, 40, 2, 2, depth=200, seed=0)
    pp.prepare(adata, "batch")
    SCPROTO.setup_anndata(adata)
    return adata


def new(cells: AnnData) -> SCPROTO:
    return SCPROTO(cells, n_prototypes=4, n_hidden=8, n_latent=4)


class Stop(lightning.Callback):
    """Press Ctrl-C, or raise an error, after an epoch."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.current_epoch == 3:
            if self.error:
                raise self.error
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def handler():
    """A handler for Ctrl-C, as a program may set its own; pytest may run where Ctrl-C is ignored."""

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    yield interrupt
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_interrupts_and_leaves_the_handler(cells, handler):
    with pytest.raises(KeyboardInterrupt):
        new(cells).train(8, callbacks=[Stop()], **CPU)
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_exit_of_other_code_stays_an_exit():
    with pytest.raises(SystemExit), _lightning.interruptible():
        raise SystemExit(3)


@pytest.mark.parametrize("error", [None, RuntimeError("no more")], ids=["interrupt", "error"])
def test_an_untrained_model_is_unchanged_by_a_failed_training(cells, handler, error, capfd):
    expected, model = new(cells), new(cells)
    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        model.train(8, callbacks=[Stop(error)], **CPU)
    assert capfd.readouterr() == ("", "")
    assert not model.is_trained_
    assert not model.history
    assert not model.module.training
    for trained in (expected, model):
        trained.train(8, **CPU)
    np.testing.assert_array_equal(model.get_latent_representation(), expected.get_latent_representation())


@pytest.mark.parametrize("late", [False, True], ids=["in_the_steps", "in_the_alignment"])
def test_a_trained_model_keeps_its_results(cells, handler, monkeypatch, late):
    model = new(cells)
    model.train(8, **CPU)
    latent, prototypes, epochs = model.get_latent_representation(), model.prototypes, len(model.history["loss"])
    if late:
        monkeypatch.setattr("scproto.model.scproto.settle", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        model.train(8, callbacks=[] if late else [Stop()], **CPU)
    assert model.is_trained_
    np.testing.assert_array_equal(model.get_latent_representation(), latent)
    np.testing.assert_array_equal(model.prototypes, prototypes)
    assert len(model.history["loss"]) == epochs


class Recorder(logging.Handler):
    """Keep what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(f"{record.levelname} {record.getMessage()}")


@pytest.fixture
def logged():
    handler = Recorder()
    loggers = [logging.getLogger(name) for name in ("", "lightning.pytorch", "lightning.fabric", "scvi")]
    for logger in loggers:
        logger.addHandler(handler)
    yield handler.messages
    for logger in loggers:
        logger.removeHandler(handler)


def levels() -> dict[str, int]:
    return {name: logging.getLogger(name).level for name in ("lightning.pytorch", "scvi", *_lightning.LOGGERS)}


def test_training_is_quiet_and_leaves_the_levels(cells, logged, capfd):
    before = levels()
    new(cells).train(4, **CPU)
    assert logged == []
    assert capfd.readouterr() == ("", "")
    assert levels() == before


def test_warnings_are_still_logged(cells, logged):
    class Warns(lightning.Callback):
        def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
            logging.getLogger("lightning.pytorch.utilities.rank_zero").warning("mind the gap")

    new(cells).train(2, callbacks=[Warns()], **CPU)
    assert set(logged) == {"WARNING mind the gap"}


def test_the_progress_bar_is_shown(cells, capfd):
    new(cells).train(4, accelerator="cpu", batch_size=32)
    assert "Epoch 4/4" in "".join(capfd.readouterr())


@pytest.mark.parametrize("learning_rate", [1e3, 1e30])
def test_a_training_that_diverges_is_stopped(cells, learning_rate):
    model = new(cells)
    with pytest.raises(InputError, match=r"diverged in epoch \d+ of 40: give .* a learning_rate below 1"):
        model.train(40, learning_rate=learning_rate, **CPU)
    assert not model.is_trained_


@pytest.mark.parametrize("batch_size", [1, 3, 10**6])
def test_epochs_smaller_than_the_prototypes_and_minibatches_larger_than_the_data(cells, batch_size):
    model = SCPROTO(cells, n_prototypes=30, n_hidden=8, n_latent=4)
    model.train(12, **CPU | {"batch_size": batch_size})
    assert np.isfinite(model.get_latent_representation()).all()
    np.testing.assert_allclose(np.linalg.norm(model.prototypes, axis=1), 1, rtol=1e-5)


def test_callbacks_in_any_form_and_more_than_once(cells):
    """scvi-tools adds its own callbacks to the list that it gets."""
    callbacks = [lightning.Callback()]
    model = new(cells)
    for given in (callbacks, callbacks, tuple(callbacks), callbacks[0], None, []):
        model.train(2, callbacks=given, **CPU | {"enable_progress_bar": True})
    assert len(callbacks) == 1


def test_arguments_of_the_trainers_are_passed_on(cells, tmp_path):
    from scvi.train._logger import SimpleLogger

    logger = SimpleLogger()
    model = new(cells)
    model.train(
        4,
        logger=logger,
        early_stopping_min_delta=0.1,
        max_time="00:01:00:00",
        deterministic=False,
        default_root_dir=str(tmp_path),
        detect_anomaly=False,
        **CPU,
    )
    assert len(logger.history["loss"]) == 4
    assert torch.isfinite(torch.from_numpy(model.prototypes)).all()
