"""Each measurement in a process of its own, with so many threads; the caller stays small.

A process starts with the peak memory of the one that started it, so what starts the fits must import nothing large.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

WORKER = Path(__file__).parents[1] / "worker.py"

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


class MeasurementError(RuntimeError):
    """A measurement did not end well."""


def call(task: str, arguments: dict[str, Any], result: Path, threads: int) -> dict[str, Any]:
    """Run a task of ``worker.py`` in a new process and return what it found.

    Parameters
    ----------
    task
        Its name.
    arguments
        What it gets, as JSON.
    result
        File for what it finds. Its output goes beside it, into a ``.log``.
    threads
        Threads of all libraries.

    Raises
    ------
    MeasurementError
        If it fails; the message has the last line of its output.
    """
    result.parent.mkdir(parents=True, exist_ok=True)
    log = result.with_suffix(".log")
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads)) | {"MPLBACKEND": "agg"}
    command = [sys.executable, str(WORKER), task, json.dumps(arguments), str(result), "--threads", str(threads)]
    with log.open("w") as output:
        done = subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    if done.returncode:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise MeasurementError(f"{task} failed: {lines[-1] if lines else done.returncode}; all of it is in {log}")
    return dict(json.loads(result.read_text()))
