from __future__ import annotations

import os
import sys
import time

import numpy as np
import pytest
from lab.processes import OK, run_limited, thread_environment


def run(code: str, tmp_path, *, time_limit: float = 600, environment=None):
    return run_limited([sys.executable, "-c", code], tmp_path / "log.txt", environment or {}, time_limit)


def test_a_successful_command(tmp_path):
    outcome = run("import os; print(os.environ['OMP_NUM_THREADS'])", tmp_path, environment=thread_environment(3))
    assert outcome.status == OK
    assert min(outcome.seconds, outcome.cpu_seconds) > 0
    assert (tmp_path / "log.txt").read_text() == "3\n"


def test_memory_of_children_counts_but_not_that_of_the_caller(tmp_path):
    held = np.ones(50 * 2**20)  # 400 MiB
    assert run("pass", tmp_path).peak_memory_mib < 200 < held.nbytes / 2**20
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'block = bytearray(300 * 2**20)'])"
    assert run(child, tmp_path).peak_memory_mib > 300


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("raise ValueError('no such gene')", "failed: ValueError: no such gene"),
        ("raise SystemExit(7)", "failed with exit code 7"),
        ("import os; os.kill(os.getpid(), 9)", "failed: ended by SIGKILL"),
    ],
)
def test_the_status_describes_a_failure(tmp_path, code, status):
    assert run(code, tmp_path).status == status


@pytest.mark.skipif(not os.path.exists("/proc"), reason="looks the child up in /proc")
def test_the_time_limit_ends_the_command_and_its_children(tmp_path):
    code = "import subprocess; child = subprocess.Popen(['sleep', '600']); print(child.pid, flush=True); child.wait()"
    outcome = run(code, tmp_path, time_limit=2)
    assert outcome.status == "did not end within 2 s"
    printed = (tmp_path / "log.txt").read_text()
    if printed:  # on a slow machine the limit may come before the child
        assert _ended(int(printed))


def _ended(pid: int) -> bool:
    for _ in range(1000):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                if stat.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False
