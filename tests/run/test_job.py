from __future__ import annotations

import operator
import os
import subprocess

import numpy as np
import pytest

from scproto.graph import umap_layout
from scproto.run.job import Job
from scproto.run.memory import peak_memory


def process_of(job: Job) -> int:
    """Number of the process that a job of :func:`os.getpid` runs in."""
    job.submit()
    return job.result()


def runs(process: int) -> bool:
    """Whether a process is alive."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_another_process_answers_and_ends_with_the_block():
    with Job(os.getpid) as job:
        process = process_of(job)
        assert process != os.getpid()
    assert not runs(process)
    assert job.peak_memory > 5 or not peak_memory(os.getpid())  # if the system reports it


def test_errors_of_the_function_are_raised_here_and_the_next_call_is_answered():
    with Job(operator.truediv, 1, 1) as job:
        job.submit(1, 0)
        with pytest.raises(ZeroDivisionError):
            job.result()
        job.submit(6, 3)
        assert job.result() == 2


def test_printed_text_is_not_an_answer():
    with Job(print, "first") as job:
        job.submit("second")
        assert job.result() is None


def test_the_call_is_made_once(tmp_path):
    with Job(os.mkdir, tmp_path / "first") as job:
        job.submit(tmp_path / "second")
        job.result()
        assert (tmp_path / "second").exists()
        job.submit(tmp_path / "second")
        with pytest.raises(FileExistsError):
            job.result()


def test_after_an_error_in_the_process_the_call_is_made_here():
    with Job(operator.truediv, 1, 0) as job:
        job.submit(6, 3)
        assert job.result() == 2


def test_without_a_process_the_call_is_made_here(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no memory")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with Job(os.getpid) as job:
        assert process_of(job) == os.getpid()
    assert job.peak_memory == 0
    assert process_of(Job(os.getpid)) == os.getpid()  # a job that was never started


def test_the_process_ends_with_the_block_even_if_the_result_is_not_read():
    with Job(os.getpid) as job:
        process = process_of(job)
        job.submit()
    assert not runs(process)


def test_the_process_ends_with_a_block_that_fails():
    job = Job(os.getpid)
    with pytest.raises(KeyError), job:
        raise KeyError(process_of(job))
    assert job.peak_memory > 5 or not peak_memory(os.getpid())


def test_the_layout_of_the_other_process_equals_that_of_this_one():
    points = np.random.default_rng(0).normal(size=(300, 8))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    with Job(umap_layout, np.eye(16)) as job:
        job.submit(points, 3)
        found = job.result()
    np.testing.assert_array_equal(found, umap_layout(points, 3))
