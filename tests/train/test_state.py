from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from scproto._errors import InputError
from scproto.data.sampler import Guidance
from scproto.graph import KnnGraph
from scproto.train.state import TrainingState


def example(*, joint: bool) -> TrainingState:
    """A state of the warm-up, or of the joint phase."""
    rng = np.random.default_rng(0)
    guidance = Guidance(rng.random(6))
    if joint:
        cross = KnnGraph(np.array([0, 1, 1, 2, 2, 2, 2]), np.array([3, 0], np.int32))
        anchors = (np.arange(6), np.arange(6)[::-1].copy())
        guidance = Guidance(rng.random(6, np.float32), True, anchors, cross, rng.random((2, 3), np.float32))
    return TrainingState(
        epoch=4,
        weights={"encoder.weight": torch.rand(3, 2), "prototypes": torch.rand(3, 2)},
        optimizer={0: {"step": torch.tensor(8.0), "exp_avg": torch.rand(3)}, 11: {"step": torch.tensor(8.0)}},
        groups=[{"lr": 0.1 + 0.2, "betas": (0.9, 0.999), "params": [0, 1]}],
        schedule={"last_epoch": 8, "_last_lr": [1 / 3]},
        guidance=guidance,
        sampler={"rng": rng.bit_generator.state, "n_epochs": 1, "genes": [np.arange(3), np.array([5])]},
        generators={"look": np.random.default_rng(5).bit_generator.state},
        torch_generators={"cpu": torch.get_rng_state()},
        stopping={"wait_count": 2, "best_score": float("inf")},
        history={"loss": {"epoch": [0, 1], "value": [0.1 + 0.2, None]}},
        identity={"seed": 0, "cells": "ab", "weight_cvae": 0.05},
    )


def same(found, expected) -> bool:
    """Whether two values are equal to the last bit; a list may stand for a tuple, which JSON lacks."""
    if isinstance(expected, Guidance | KnnGraph):
        return all(same(getattr(found, f.name), getattr(expected, f.name)) for f in fields(expected))
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], value) for key, value in expected.items())
    if isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, np.ndarray | torch.Tensor):
        return found.dtype == expected.dtype and found.shape == expected.shape and bool((found == expected).all())
    return found == expected


@pytest.mark.parametrize("joint", [False, True], ids=["warm_up", "joint"])
def test_a_state_survives_saving_and_loading(tmp_path, joint):
    state = example(joint=joint)
    state.save(tmp_path / "training")
    found = TrainingState.load(tmp_path / "training")
    for field in fields(TrainingState):
        assert same(getattr(found, field.name), getattr(state, field.name)), field.name
    assert [path.name for path in tmp_path.iterdir()] == ["training"]


def test_a_later_state_replaces_an_earlier_one(tmp_path):
    example(joint=True).save(tmp_path / "training")
    replace(example(joint=False), epoch=9).save(tmp_path / "training")
    assert TrainingState.load(tmp_path / "training").epoch == 9


def test_a_state_that_cannot_be_written_leaves_the_earlier_one(tmp_path, monkeypatch):
    example(joint=True).save(tmp_path / "training")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("scproto.train.state.save_file", full)
    with pytest.raises(OSError, match="No space"):
        example(joint=False).save(tmp_path / "training")
    assert TrainingState.load(tmp_path / "training").guidance.paired


@pytest.mark.parametrize("size", [0, 7, 100, 1000, -1])
def test_a_truncated_file_is_damaged(tmp_path, size):
    path = tmp_path / "training"
    example(joint=True).save(path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match=r"is damaged .*: start the training anew"):
        TrainingState.load(path)


def test_other_files_are_not_checkpoints(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match="is not a checkpoint of this version"):
        TrainingState.load(tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match="There is no checkpoint"):
        TrainingState.load(Path(tmp_path) / "missing")


def test_only_the_same_training_continues():
    state = example(joint=True)
    state.check_identity({"seed": 0, "cells": "ab", "weight_cvae": 0.05})
    with pytest.raises(InputError, match=r"weight_cvae=0\.05, not 0\.1"):
        state.check_identity({"seed": 0, "cells": "ab", "weight_cvae": 0.1})
    with pytest.raises(InputError, match=r"weight_cvae=0\.05, not None"):
        state.check_identity({"seed": 0, "cells": "ab"})
    with pytest.raises(InputError, match="belongs to other cells"):
        state.check_identity({"seed": 0, "cells": "cd", "weight_cvae": 0.05})
