from __future__ import annotations

import operator
import os
import subprocess

import numpy as np
import pytest

from scproto.run.memory import peak_memory
from scproto.run.standby import Standby
from scproto.graph import umap_layout


def test_another_process_answers_and_ends_with_the_block():
    with Standby(os.getpid) as standby:
        assert standby() == standby() == standby._process.pid != os.getpid()
    assert standby._process.poll() is not None
    assert standby.peak_memory > 5 or not peak_memory(os.getpid())  # where the system tells


def test_what_the_function_raises_is_raised_here_and_it_answers_again():
    with Standby(operator.truediv, 1, 1) as standby:
        with pytest.raises(ZeroDivisionError):
            standby(1, 0)
        assert standby(6, 3) == 2


def test_what_is_printed_is_no_answer():
    with Standby(print, "first") as standby:
        assert standby("second") is None


def test_without_the_process_the_call_is_made_here(monkeypatch):
    with Standby(operator.truediv, 1, 0) as standby:  # it ends with an error
        assert standby(6, 3) == 2

    def refuse(*_, **__):
        raise OSError("no memory")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with Standby(os.getpid) as standby:
        assert standby() == os.getpid()
    assert standby.peak_memory == 0


def test_unused_or_left_by_an_error_it_ends():
    with pytest.raises(KeyError), Standby(os.getpid) as standby:
        raise KeyError
    assert standby._process.poll() is not None


def test_a_call_that_was_begun_is_made_once(tmp_path):
    with Standby(os.mkdir, tmp_path / "first") as standby:
        standby.begin(tmp_path / "begun")
        standby(tmp_path / "begun")
        assert (tmp_path / "begun").exists()
        with pytest.raises(FileExistsError):
            standby(tmp_path / "begun")


def test_a_begun_call_that_nobody_ends_answers_no_other():
    with Standby(operator.truediv, 1, 1) as standby:
        standby.begin(6, 3)
        standby.begin(8, 1)  # one at a time
        assert standby(6, 2) == 3
        assert standby(6, 3) == 2
        standby.begin(1, 0)
        with pytest.raises(ZeroDivisionError):
            standby(1, 0)
        standby.begin(6, 3)
    assert standby._process.poll() is not None


def test_without_the_process_nothing_is_begun():
    standby = Standby(os.getpid)
    standby.begin()
    assert standby() == os.getpid()
    with Standby(operator.truediv, 1, 0) as standby:  # it ends with an error
        standby._process.wait()
        standby.begin(6, 3)
        assert standby(6, 3) == 2


def test_layout_of_the_other_process_is_that_of_this_one():
    points = np.random.default_rng(0).normal(size=(300, 8))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    with Standby(umap_layout, np.eye(16)) as standby:
        found = standby(points, 3)
    np.testing.assert_array_equal(found, umap_layout(points, 3))
