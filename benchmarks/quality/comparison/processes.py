"""One command with a time limit, its time and its peak memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

OK = "ok"

LAUNCHER = Path(__file__).with_name("launcher.py")

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "METACELLS_PROCESSORS_COUNT",
)


@dataclass(frozen=True)
class Outcome:
    """How a command went."""

    status: str
    """``ok``, or in words what happened."""
    seconds: float = float("nan")
    """Wall time, with the start of Python and its imports."""
    cpu_seconds: float = float("nan")
    """Time on the processor, of the process and all that it started: hardly longer on a busy machine."""
    peak_memory_mib: float = float("nan")
    """Largest resident memory of the process or of one that it started, whichever is larger."""


def run_limited(command: Sequence[object], log: Path, time_limit: float, environment: Mapping[str, str]) -> Outcome:
    """Run a command to its end or to the time limit; then it and all that it started are ended.

    Parameters
    ----------
    command
        Program and arguments, written as text.
    log
        File that gets its output.
    time_limit
        Seconds.
    environment
        Variables on top of the present ones.
    """
    done = subprocess.run(
        [sys.executable, "-I", LAUNCHER, str(time_limit), log, *map(str, command)],
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
        check=True,
    )
    found = json.loads(done.stdout)
    late, returncode = found.pop("late"), found.pop("returncode")
    return Outcome(f"did not end within {time_limit:g} s" if late else _status(returncode, log), **found)


def thread_environment(threads: int) -> dict[str, str]:
    """Return the variables that hold the libraries at so many threads."""
    return dict.fromkeys(THREAD_VARIABLES, str(threads))


def _status(returncode: int, log: Path) -> str:
    if returncode < 0:
        return f"failed: ended by {signal.Signals(-returncode).name}"
    if returncode:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        return f"failed: {lines[-1][:200]}" if lines else f"failed with exit code {returncode}"
    return OK
