from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from scproto import _memory

SCRIPT = """
import sys, numpy as np
from scproto._memory import give_back_freed, give_back_holes

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

if sys.argv[1] == "freed":
    give_back_freed()
np.ones(30 * 2**17)  # 30 MiB, freed: from now on glibc takes arrays up to this size from its heap
before, arrays = resident(), []
for _ in range(10):  # freed ones lie below kept ones
    arrays.append(np.ones(8 * 2**17))
    arrays.append(np.ones(2**12))
del arrays[::2]
if sys.argv[1] == "holes":
    give_back_holes()
print(resident() - before)
"""


def kept(argument: str) -> float:
    """MiB that stay with a process after 80 MiB were freed."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, argument], capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps large freed arrays")
def test_freed_arrays_are_given_back():
    assert kept("nothing") > 60
    assert kept("freed") < 20
    assert kept("holes") < 20


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(_memory.ctypes, "CDLL", lambda _: object())
    _memory.give_back_freed()
    _memory.give_back_holes()
