"""Exit codes and clean folders as the shell sees them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

WAITING = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell inherits that it is ignored
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and with nohup this one
from scproto.run import fit as fitting
from scproto.cli import main

def wait(*args, **kwargs):
    print("ready", file=sys.__stdout__, flush=True)
    time.sleep(600)

fitting.load_libraries = lambda accelerator: None
fitting.train = wait
sys.argv[0] = "scproto"
main()
"""

CRASHING = """
import sys
from scproto.run import fit as fitting
from scproto.cli import main

def crash(*args, **kwargs):
    raise RuntimeError("a defect")

fitting.load_libraries = crash
main()
"""


def fit_arguments(cells, folder):
    return ["fit", str(cells), "--batch-key", "lab", "--out", str(folder / "run")]


SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


def end(script, number, cells_file, tmp_path):
    """Start a fit, end it by a signal where it waits, and return its exit code and messages."""
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
    assert messages.splitlines()[-1].endswith(f"What was complete is kept in {kept}: model.")


def test_nohup_is_left_alone(cells_file, tmp_path):
    script = WAITING.replace("SIG_DFL", "SIG_IGN").replace("600", "1")
    returned, _ = end(script, signal.SIGHUP, cells_file, tmp_path)
    assert returned == 1  # the stand-in ends by itself, with a result that is none


def test_a_defect_is_called_so_and_its_log_is_kept(cells_file, tmp_path, tmp_path_factory):
    logs = tmp_path_factory.mktemp("logs")
    command = [sys.executable, "-c", CRASHING, *fit_arguments(cells_file, tmp_path)]
    environment = os.environ | {"TMPDIR": str(logs)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    [log] = logs.glob("*.log")
    assert done.stderr.splitlines()[-1].startswith("Error: This is a defect of scproto (RuntimeError: a defect).")
    assert str(log) in done.stderr
    text = log.read_text()
    assert "Traceback" in text
    assert "RuntimeError: a defect" in text
    assert "anndata" in text
    assert list(tmp_path.iterdir()) == [cells_file]


def test_an_interrupt_waits_for_imports(monkeypatch):
    """An import of torch that is broken off crashes the process."""
    from scproto._signals import deferred_signals

    through = []

    def imports():
        with deferred_signals():
            signal.raise_signal(signal.SIGINT)
            through.append(True)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            imports()
        assert through == [True]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_characters_that_the_terminal_does_not_know(cells_file, tmp_path):
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
