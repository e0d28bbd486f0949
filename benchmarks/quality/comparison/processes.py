"""One command with a time limit, its wall time and its peak memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

OK = "ok"

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
    seconds: float
    """Wall time, with the start of Python and its imports."""
    cpu_seconds: float
    """Time on the processor, of the process and all that it started: hardly longer on a busy machine."""
    peak_memory_mib: float
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
    late = threading.Event()
    with log.open("w") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        timer = threading.Timer(time_limit, lambda: (late.set(), _end(process.pid)))
        timer.start()
        try:
            _, state, usage = os.wait4(process.pid, 0)  # unlike Popen.wait, it tells the memory of this one process
        except BaseException:
            _end(process.pid)
            raise
        finally:
            timer.cancel()
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(state)
    peak = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    status = _status(process.returncode, late.is_set(), time_limit, log)
    return Outcome(status, seconds, usage.ru_utime + usage.ru_stime, peak)


def thread_environment(threads: int) -> dict[str, str]:
    """Return the variables that hold the libraries at so many threads."""
    return dict.fromkeys(THREAD_VARIABLES, str(threads))


def _end(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _status(returncode: int, late: bool, time_limit: float, log: Path) -> str:
    if late:
        return f"did not end within {time_limit:g} s"
    if returncode < 0:
        return f"failed: ended by {signal.Signals(-returncode).name}"
    if returncode:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        return f"failed: {lines[-1][:200]}" if lines else f"failed with exit code {returncode}"
    return OK
