"""Threads of the libraries below, held at one number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def limit_threads(n_threads: int | None = None) -> Iterator[None]:
    """Limit the threads of torch, numba, BLAS and OpenMP in the block; by default to those that torch has.

    Without it the first use of numba (within scanpy) raises the number of OpenMP's threads behind torch's back,
    and results differ in the last bits between the first fit of a process and the next.
    """
    import numba
    import torch
    from threadpoolctl import threadpool_limits

    of_torch = torch.get_num_threads()
    n_threads = n_threads or of_torch
    with threadpool_limits(n_threads):
        of_numba = numba.get_num_threads()  # starts its threads and raises OpenMP's number: torch's is set after it
        numba.set_num_threads(min(n_threads, of_numba))
        torch.set_num_threads(n_threads)
        try:
            yield
        finally:
            torch.set_num_threads(of_torch)
            numba.set_num_threads(of_numba)
