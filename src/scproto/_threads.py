"""One number of threads for all libraries."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any


def n_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_threads() -> int:
    """Default number of threads of a run: that of torch, but one of several cores stays free.

    The process that prepares the UMAP and the user's other programs use that core. A thread that waits for a core
    holds up all others at each of the hundreds of operations per training step.
    """
    import torch

    return min(torch.get_num_threads(), max(1, n_cores() - 1))


@contextmanager
def limit_threads(n_threads: int | None = None) -> Iterator[None]:
    """Limit the threads of torch, numba, BLAS and OpenMP in the block, by default to the number of torch's threads.

    Without the limit, the first use of numba (within scanpy) raises the number of OpenMP threads without torch's
    knowledge. The first fit of a process would then differ from the next in the last bits.
    """
    import numba
    from threadpoolctl import threadpool_limits

    # a process that does not use torch need not load it
    torch: Any = import_module("torch") if n_threads is None else sys.modules.get("torch")
    of_torch = torch.get_num_threads() if torch else 0
    n_threads = n_threads or of_torch
    with threadpool_limits(n_threads):
        of_numba = numba.get_num_threads()  # starts threads and raises OpenMP's number, so set torch's later
        numba.set_num_threads(min(n_threads, of_numba))
        if torch:
            torch.set_num_threads(n_threads)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(of_torch)
            numba.set_num_threads(of_numba)
