"""A training that is killed and resumed ends like one that was never interrupted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from anndata import AnnData

from scproto import pp
from scproto._errors import InputError
from scproto.datasets import simulate_atlas
from scproto.model import SCPROTO
from scproto.train import Checkpoint
from scproto.train.state import TrainingState

KILLS = Path(__file__).parents[2] / "benchmarks" / "kills.py"
CPU = {"accelerator": "cpu", "enable_progress_bar": False, "batch_size": 32}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")
def test_a_training_killed_at_random_points_ends_equal_to_the_last_bit():
    command = [sys.executable, str(KILLS), "--kills", "12"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    counted = re.match(r"(\d+) kills of (\d+) trainings .*: (\d+) are equal", result.stdout)
    n_kills, n_trainings, n_equal = map(int, counted.groups())
    assert n_kills == 12
    assert n_equal == n_trainings > 2


@pytest.fixture(scope="module")
def atlas() -> AnnData:
    atlas = simulate_atlas(90, 40, 2, 2, depth=200, seed=2)
    pp.prepare(atlas, "batch")
    SCPROTO.setup_anndata(atlas)
    return atlas


def new(atlas: AnnData, **arguments) -> SCPROTO:
    return SCPROTO(atlas, **{"n_prototypes": 5, "n_hidden": 8, "n_latent": 4} | arguments)


@pytest.fixture(scope="module")
def stopped(atlas, tmp_path_factory) -> Path:
    """Checkpoint from before the last epoch of a training."""
    path = tmp_path_factory.mktemp("checkpoint") / "training"
    new(atlas).train(24, checkpoint=Checkpoint(path, every_s=0), **CPU)
    return path


def test_the_history_has_each_epoch_once(atlas, stopped):
    model = new(atlas)
    model.train(24, resume_from=stopped, **CPU)
    assert TrainingState.load(stopped).epoch == 23
    for name, first in (("loss", 0), ("loss_swav", 12)):
        assert model.history[name].index.tolist() == list(range(first, 24))


def test_a_second_training_is_resumed_and_its_history_follows_the_first(atlas, tmp_path):
    first, again = new(atlas), new(atlas)
    for model in (first, again):
        model.train(8, **CPU)
    first.train(8, checkpoint=Checkpoint(tmp_path / "training", every_s=0), **CPU)
    again.train(8, resume_from=tmp_path / "training", **CPU)
    np.testing.assert_array_equal(first.get_latent_representation(), again.get_latent_representation())
    for model in (first, again):
        assert model.history["loss"].index.tolist() == list(range(16))
        assert model.history["loss_swav"].index.tolist() == [*range(4, 8), *range(12, 16)]


def test_a_resumed_training_stops_early_in_the_same_epoch(atlas, tmp_path):
    path, never_better = tmp_path / "training", {"early_stopping_min_delta": 1e6}
    first, again = new(atlas), new(atlas)
    first.train(40, checkpoint=Checkpoint(path, every_s=0), **never_better, **CPU)
    n_epochs = len(first.history["loss"])
    assert TrainingState.load(path).epoch == n_epochs - 1 < 39
    again.train(40, resume_from=path, **never_better, **CPU)
    assert len(again.history["loss"]) == n_epochs


@pytest.mark.parametrize(
    ("arguments", "training", "problem"),
    [
        ({"n_prototypes": 6}, {}, "belongs to a training with n_prototypes=5, not 6: resume with the same settings"),
        ({"seed": 3}, {}, "belongs to a training with seed=0, not 3"),
        ({}, {"learning_rate": 1e-3}, "belongs to a training with learning_rate=0.004, not 0.001"),
        ({}, {"max_steps": 48}, "belongs to a training with max_steps=24, not 48"),
    ],
)
def test_a_training_with_other_settings_is_not_resumed(atlas, stopped, arguments, training, problem):
    model = new(atlas, **arguments)
    with pytest.raises(InputError, match=problem):
        model.train(**{"max_steps": 24, "resume_from": stopped} | training, **CPU)
    assert not model.is_trained_


def test_other_cells_are_not_trained_from_a_checkpoint(stopped):
    other = simulate_atlas(90, 40, 2, 2, depth=200, seed=3)
    pp.prepare(other, "batch")
    SCPROTO.setup_anndata(other)
    with pytest.raises(InputError, match="The checkpoint belongs to other cells"):
        new(other).train(24, resume_from=stopped, **CPU)


def test_a_missing_checkpoint_or_folder_is_refused(atlas, tmp_path):
    with pytest.raises(InputError, match=r"There is no checkpoint .*nowhere: train without resume_from"):
        new(atlas).train(4, resume_from=tmp_path / "nowhere", **CPU)
    with pytest.raises(InputError, match=r"The folder of the checkpoint .* does not exist"):
        new(atlas).train(4, checkpoint=tmp_path / "no" / "folder", **CPU)


def test_by_default_a_short_training_saves_no_checkpoint(atlas, tmp_path):
    new(atlas).train(8, checkpoint=tmp_path / "training", **CPU)
    assert list(tmp_path.iterdir()) == []  # it took less than a minute


def test_checkpoints_do_not_change_the_training(atlas, stopped):
    plain, resumed = new(atlas), new(atlas)
    plain.train(24, **CPU)
    resumed.train(24, resume_from=stopped, **CPU)
    np.testing.assert_array_equal(plain.get_latent_representation(), resumed.get_latent_representation())
