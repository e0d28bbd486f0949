"""Memory of the process: how much it was at most, and what is freed given back to the system."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_MIB = 1 << 20


def give_back_freed() -> None:
    """Let arrays of 4 MiB or more go back to the system once they are freed, where the C library is glibc.

    By default glibc keeps those of up to 32 MiB for the process once it has seen one freed, which after the training of
    100,000 cells is half a gigabyte. Smaller ones, which a step of the training frees and asks for again, stay.
    """
    if mallopt := _of_c("mallopt"):
        mallopt(_MMAP_THRESHOLD, 4 * _MIB)
        mallopt(_TRIM_THRESHOLD, 64 * _MIB)  # else every step would give back and ask again


def give_back_holes() -> None:
    """Give back what is free between smaller arrays now, where the C library is glibc; it takes milliseconds."""
    if malloc_trim := _of_c("malloc_trim"):
        malloc_trim(0)


def peak_memory(process: int | None = None) -> float:
    """Return the largest resident memory so far in MiB, of a running process by its number or of this one.

    0 where the system does not tell: Windows, and of other processes all but Linux. ``resource`` is asked last, since
    on Linux it takes a process for at least as large as the one that started it.
    """
    with suppress(OSError):
        for line in Path(f"/proc/{process or 'self'}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10  # from KiB
    if process is not None or sys.platform == "win32":
        return 0.0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _of_c(name: str) -> Any:
    """Return a function of the C library; None if it has none of this name."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):  # another C library
        return None
