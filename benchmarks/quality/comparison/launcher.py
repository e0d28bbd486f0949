"""Run one command with a time limit and print how it went, as JSON.

    python launcher.py SECONDS LOG COMMAND...

A process of its own, and a small one: a process takes over the peak memory of the one that starts it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress


def launch(time_limit: float, log: str, command: list[str]) -> dict[str, float | bool]:
    """Run the command to its end or to the time limit; then it and all that it started are ended."""
    late = threading.Event()
    with open(log, "w") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        timer = threading.Timer(time_limit, lambda: (late.set(), _end(process.pid)))
        timer.start()
        try:
            _, state, usage = os.wait4(process.pid, 0)  # unlike Popen.wait, it tells time and memory
        except BaseException:
            _end(process.pid)
            raise
        finally:
            timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(state)
    return {
        "returncode": process.returncode,
        "late": late.is_set(),
        "seconds": time.perf_counter() - start,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_memory_mib": usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10),
    }


def _end(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    print(json.dumps(launch(float(sys.argv[1]), sys.argv[2], sys.argv[3:])))
