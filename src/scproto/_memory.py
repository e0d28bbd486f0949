"""Memory of freed arrays, given back to the system."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_MIB = 1 << 20


def give_back_freed() -> None:
    """Let arrays of 4 MiB or more go back to the system once they are freed, where the C library is glibc.

    By default glibc keeps those of up to 32 MiB for the process once it has seen one freed, which after the training of
    100,000 cells is half a gigabyte. Smaller ones, which a step of the training frees and asks for again, stay.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return
    mallopt(_MMAP_THRESHOLD, 4 * _MIB)
    mallopt(_TRIM_THRESHOLD, 64 * _MIB)  # else every step would give back and ask again
