"""Run one command with a time limit, and measure its time and peak memory.

This file is also the small script that starts the command. A process inherits the peak memory of the process that
starts it, and the benchmarks themselves use a lot of memory.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
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
    """``ok``, or a description of what went wrong."""
    seconds: float | None = None
    """Wall time, including the start of Python and its imports."""
    cpu_seconds: float | None = None
    """Processor time of the process and all processes that it started. A busy machine hardly increases it."""
    peak_memory_mib: float | None = None
    """Peak resident memory of the process or of any process that it started, whichever is larger."""


def run_limited(
    command: Sequence[object], log: Path, environment: Mapping[str, str], time_limit: float | None = None
) -> Outcome:
    """Run a command. At the time limit in seconds, kill it and all processes that it started.

    The log keeps its output. `environment` adds variables to the current ones.
    """
    given = json.dumps({"command": [str(part) for part in command], "log": str(log), "time_limit": time_limit})
    done = subprocess.run(
        [sys.executable, "-I", __file__, given], stdout=subprocess.PIPE, env={**os.environ, **environment}, check=True
    )
    found = json.loads(done.stdout)
    returncode = found.pop("returncode")
    return Outcome(f"did not end within {time_limit:g} s" if returncode is None else _status(returncode, log), **found)


def thread_environment(threads: int) -> dict[str, str]:
    """Return the environment variables that limit the libraries to this number of threads."""
    return dict.fromkeys(THREAD_VARIABLES, str(threads))


def _status(returncode: int, log: Path) -> str:
    if returncode < 0:
        return f"failed: ended by {signal.Signals(-returncode).name}"
    if returncode:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        return f"failed: {lines[-1][:200]}" if lines else f"failed with exit code {returncode}"
    return OK


def _launch(command: list[str], log: str, time_limit: float | None) -> dict[str, float | None]:
    """Run the command; a return code of None means that it did not end in time."""
    with open(log, "w") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            returncode: int | None = process.wait(time_limit)
        except subprocess.TimeoutExpired:
            returncode = None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "returncode": returncode,
        "seconds": time.perf_counter() - start,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_memory_mib": usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10),
    }


if __name__ == "__main__":
    print(json.dumps(_launch(**json.loads(sys.argv[1]))))
