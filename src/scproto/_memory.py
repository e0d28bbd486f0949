"""Memory of the process: how much it was at most, and what is freed given back to the system."""

from __future__ import annotations

import ctypes
import sys
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


def peak_memory() -> float | None:
    """Return the largest resident memory in MiB; None where the system does not tell.

    That of the process for UMAP, which may have come later or earlier, is added.
    """
    if sys.platform == "win32":
        return None
    import resource

    peak = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _of_c(name: str) -> Any:
    """Return a function of the C library; None if it has none of this name."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):  # another C library
        return None
