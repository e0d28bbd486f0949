from __future__ import annotations

import gc
from contextlib import contextmanager

import pytest

from scproto._errors import InputError
from scproto.run.stages import Stages, load_libraries


def test_stages_are_timed_and_announced():
    events = []

    @contextmanager
    def announce(name):
        events.append(f"{name} starts")
        yield
        events.append(f"{name} ends")

    stages = Stages(announce)
    with stages("Reading"):
        events.append("work")
    assert events == ["Reading starts", "work", "Reading ends"]
    assert list(stages.seconds) == ["Reading"]
    assert stages.seconds["Reading"] >= 0


def test_a_missing_gpu_is_bad_input(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match="no GPU"):
        load_libraries("gpu")


@pytest.mark.parametrize("collecting", [True, False])
def test_loading_libraries_leaves_the_garbage_collector_as_it_was(collecting):
    set_to = {True: gc.enable, False: gc.disable}
    set_to[collecting]()
    try:
        load_libraries("auto")
        assert gc.isenabled() == collecting
    finally:
        gc.enable()
