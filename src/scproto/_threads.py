"""Threads of the libraries below, held at one number."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_threads() -> int:
    """Threads of a run: those of torch, but one core is left to the process that makes UMAP ready, and to the user.

    A thread that has to wait for a core holds up all others at each of the hundreds of operations of a training step.
    """
    import torch

    return min(torch.get_num_threads(), max(1, n_cores() - 1))


@contextmanager
def limit_threads(n_threads: int | None = None) -> Iterator[None]:
    """Limit the threads of torch, numba, BLAS and OpenMP in the block; by default to those that torch has.

    Without it the first use of numba (within scanpy) raises the number of OpenMP's threads behind torch's back,
    and results differ in the last bits between the first fit of a process and the next.
    """
    import numba
    from threadpoolctl import threadpool_limits

    # a process that does without torch need not load it
    torch: Any = import_module("torch") if n_threads is None else sys.modules.get("torch")
    of_torch = torch.get_num_threads() if torch else 0
    n_threads = n_threads or of_torch
    with threadpool_limits(n_threads):
        of_numba = numba.get_num_threads()  # starts its threads and raises OpenMP's number: torch's is set after it
        numba.set_num_threads(min(n_threads, of_numba))
        if torch:
            torch.set_num_threads(n_threads)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(of_torch)
            numba.set_num_threads(of_numba)
