from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from scproto.run import memory
from scproto.run.memory import peak_memory

SCRIPT = """
import sys, numpy as np
from scproto.run.memory import give_back_freed, give_back_holes

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

if sys.argv[1] == "freed":
    give_back_freed()
np.ones(30 * 2**17)  # 30 MiB, freed: from now on glibc takes arrays up to this size from its heap
before, arrays = resident(), []
for _ in range(10):  # arrays to be freed lie below arrays to be kept
    arrays.append(np.ones(8 * 2**17))
    arrays.append(np.ones(2**12))
del arrays[::2]
if sys.argv[1] == "holes":
    give_back_holes()
print(resident() - before)
"""


def run(code: str, *arguments: str) -> str:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True).stdout


def kept(argument: str) -> float:
    """MiB that a process keeps after it has freed 80 MiB."""
    return float(run(SCRIPT, argument))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps large freed arrays")
def test_freed_arrays_are_returned_to_the_system():
    assert kept("nothing") > 60
    assert kept("freed") < 20
    assert kept("holes") < 20


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    memory.give_back_freed()
    memory.give_back_holes()


def reports_peak_memory() -> bool:
    """Whether the system reports the peak memory of each process."""
    status = Path("/proc/self/status")
    return status.exists() and "VmHWM:" in status.read_text()


@pytest.mark.skipif(not reports_peak_memory(), reason="the system does not report it")
def test_peak_memory_includes_what_was_freed():
    measure = "from scproto.run.memory import peak_memory as p; before = p(); b'x' * (100 << 20); print(p() - before)"
    assert float(run(measure)) == pytest.approx(100, abs=20)


@pytest.mark.skipif(not reports_peak_memory(), reason="the system does not report it")
def test_peak_memory_of_another_process_is_its_own():
    code = "import sys; b'x' * (50 << 20); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert peak_memory(process.pid) == pytest.approx(60, abs=20)
        process.stdin.close()
        process.wait()
    assert peak_memory(process.pid) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="the system does not report it")
def test_without_procfs_the_memory_of_this_process_is_known(monkeypatch):
    monkeypatch.setattr(memory, "Path", lambda path: Path("nowhere"))
    assert peak_memory() > 10
    assert peak_memory(os.getpid()) == 0
