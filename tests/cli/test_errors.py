"""Errors and signals as the shell sees them: exit codes, one sentence, and a clean folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

WAITING = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it
from scproto.run import fit
from scproto.cli import main

def wait(*args, **kwargs):
    print("ready", file=sys.__stdout__, flush=True)
    time.sleep(600)

fit.load_libraries = lambda accelerator: None
fit.train = wait
sys.argv[0] = "scproto"
main()
"""

CRASHING = """
import sys
from scproto.run import fit
from scproto.cli import main

def crash(*args, **kwargs):
    raise RuntimeError("a defect")

fit.load_libraries = crash
main()
"""


def fit_arguments(cells, folder):
    return ["fit", str(cells), "--batch-key", "lab", "--out", str(folder / "run")]


SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


def end(script, number, cells_file, tmp_path):
    """Start a fit, send it a signal when it waits, and return its exit code and messages."""
    command = [sys.executable, "-c", script, *fit_arguments(cells_file, tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert len(list(tmp_path.iterdir())) == 2  # the cells and the temporary folder
        process.send_signal(number)
        _, messages = process.communicate()
    assert "Traceback" not in messages
    return process.returncode, messages


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_an_interrupt_leaves_nothing_behind(cells_file, tmp_path, number, code):
    returned, messages = end(WAITING, number, cells_file, tmp_path)
    assert returned == code
    assert list(tmp_path.iterdir()) == [cells_file]
    if number == signal.SIGINT:
        assert messages.splitlines()[-1] == "Error: Interrupted: nothing was written."


WAITING_WITH_A_MODEL = WAITING.replace(
    'print("ready"', '(args[2] / "model").mkdir(); (args[2] / ".half").touch(); print("ready"'
)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_trained_model_is_kept(cells_file, tmp_path, number, code):
    returned, messages = end(WAITING_WITH_A_MODEL, number, cells_file, tmp_path)
    assert returned == code
    kept = tmp_path / "run.incomplete"
    assert set(tmp_path.iterdir()) == {cells_file, kept}
    assert (kept / "model").is_dir()
    assert messages.splitlines()[-1].endswith(f"The complete parts are kept in {kept}: model.")


def test_with_nohup_a_hangup_is_ignored(cells_file, tmp_path):
    script = WAITING.replace("SIG_DFL", "SIG_IGN").replace("600", "1")
    returned, _ = end(script, signal.SIGHUP, cells_file, tmp_path)
    assert returned == 1  # the stand-in returns, and its result is not a model


def test_a_bug_is_reported_with_its_log(cells_file, tmp_path, tmp_path_factory):
    logs = tmp_path_factory.mktemp("logs")
    command = [sys.executable, "-c", CRASHING, *fit_arguments(cells_file, tmp_path)]
    environment = os.environ | {"TMPDIR": str(logs)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    [log] = logs.glob("*.log")
    assert done.stderr.splitlines()[-1].startswith("Error: This is a bug in scproto (RuntimeError: a defect).")
    assert str(log) in done.stderr
    text = log.read_text()
    assert "Traceback" in text
    assert "RuntimeError: a defect" in text
    assert "anndata" in text
    assert list(tmp_path.iterdir()) == [cells_file]


def test_characters_that_the_terminal_lacks_do_no_harm(cells_file, tmp_path):
    missing = tmp_path / "Zürich 北京.h5ad"
    command = [sys.executable, "-m", "scproto", *fit_arguments(missing, tmp_path)]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert "does not exist" in done.stderr
    assert "Traceback" not in done.stderr


def test_bad_input_exits_with_2_and_one_line(tmp_path):
    command = [sys.executable, "-m", "scproto", *fit_arguments(tmp_path / "no.h5ad", tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"Error: {tmp_path / 'no.h5ad'} does not exist.\n"
