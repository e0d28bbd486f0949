"""The stages of a run, timed and announced."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from time import perf_counter

from .._errors import InputError
from .._signals import deferred_signals

Announce = Callable[[str], AbstractContextManager[object]]


@dataclass(frozen=True)
class Stages:
    """Time the stages of a run, and announce each one."""

    announce: Announce = nullcontext
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time the block under `name`."""
        start = perf_counter()
        with self.announce(name):
            yield
        self.seconds[name] = round(perf_counter() - start, 3)


def load_libraries(accelerator: str) -> None:
    """Import the slow libraries, so that the timings of later stages are those of their own work.

    All imported objects stay, but Python's garbage collector would examine them again and again, for a fifth of the
    time. From here on, it ignores them.

    Raises
    ------
    InputError
        If the accelerator is ``"gpu"`` and torch finds none.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        with deferred_signals():
            import torch

            from ..model import SCPROTO  # noqa: F401
    finally:
        gc.freeze()
        if collecting:
            gc.enable()
    if accelerator == "gpu" and not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        raise InputError("torch finds no GPU here; use --accelerator auto or cpu.")
