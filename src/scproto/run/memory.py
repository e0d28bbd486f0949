"""Memory of the process: measure its peak, and return freed memory to the system."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_MIB = 1 << 20


def give_back_freed() -> None:
    """Return arrays of 4 MiB or more to the system as soon as they are freed, if the C library is glibc.

    By default, once an array has been freed, glibc keeps later ones of up to 32 MiB for the process. After training on
    100,000 cells, that is half a gigabyte. Smaller arrays stay, since each training step frees and requests them again.
    """
    if mallopt := _of_c("mallopt"):
        mallopt(_MMAP_THRESHOLD, 4 * _MIB)
        mallopt(_TRIM_THRESHOLD, 64 * _MIB)  # otherwise every step would return memory and request it again


def give_back_holes() -> None:
    """Return the free memory between smaller arrays now, if the C library is glibc; it takes milliseconds."""
    if malloc_trim := _of_c("malloc_trim"):
        malloc_trim(0)


def peak_memory(process: int | None = None) -> float:
    """Measure the largest resident memory so far, of this process or of another running one.

    ``resource`` is asked last: on Linux, it takes a process to be at least as large as the one that started it.

    Parameters
    ----------
    process
        Number of the other process; by default this process.

    Returns
    -------
    peak : float
        Memory in MiB; 0 if the system does not report it, as on Windows, or for other processes outside Linux.
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
