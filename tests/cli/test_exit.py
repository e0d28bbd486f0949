"""Exit codes and clean folders as the shell sees them."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

WAITING = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell inherits that it is ignored
from scproto import _run
from scproto.cli import main

def wait(*args, **kwargs):
    print("ready", file=sys.__stdout__, flush=True)
    time.sleep(600)

_run.load_libraries = lambda accelerator: None
_run.fit = wait
sys.argv[0] = "scproto"
main()
"""

CRASHING = """
import sys
from scproto import _run
from scproto.cli import main

def crash(*args, **kwargs):
    raise RuntimeError("a defect")

_run.load_libraries = crash
main()
"""


def fit_arguments(cells, folder):
    return ["fit", str(cells), "--batch-key", "lab", "--out", str(folder / "run")]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_nothing_behind(cells_file, tmp_path, number, code):
    command = [sys.executable, "-c", WAITING, *fit_arguments(cells_file, tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert len(list(tmp_path.iterdir())) == 2  # the cells and the temporary folder
        process.send_signal(number)
        _, messages = process.communicate()
    assert process.returncode == code
    assert "Traceback" not in messages
    assert list(tmp_path.iterdir()) == [cells_file]
    if number == signal.SIGINT:
        assert messages.splitlines()[-1] == "Error: Interrupted: nothing was written."


def test_a_defect_shows_its_traceback(cells_file, tmp_path):
    command = [sys.executable, "-c", CRASHING, *fit_arguments(cells_file, tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "RuntimeError: a defect" in done.stderr
    assert list(tmp_path.iterdir()) == [cells_file]


def test_bad_input_exits_with_2_and_one_line(tmp_path):
    command = [sys.executable, "-m", "scproto", *fit_arguments(tmp_path / "no.h5ad", tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"Error: {tmp_path / 'no.h5ad'} does not exist.\n"
