"""Temporary timers around functions of the package."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import reduce, wraps
from importlib import import_module
from time import perf_counter
from typing import Any
from unittest.mock import patch


class Timers:
    """Seconds by name, summed over all calls, and the time of the first call.

    A timer inside another one has the path of both as its name, ``"outer/inner"``; the outer one includes its time.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self.seconds: dict[str, float] = {}
        self.first: dict[str, float] = {}
        self._clock = clock
        self._path: list[str] = []

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time the block."""
        self._path.append(name)
        key = "/".join(self._path)
        start = self._clock()
        self.first.setdefault(key, start)
        try:
            yield
        finally:
            self.seconds[key] = self.seconds.get(key, 0.0) + self._clock() - start
            self._path.pop()

    def __getitem__(self, key: str) -> float:
        """Return the seconds of a timer, or 0 if it never ran."""
        return self.seconds.get(key, 0.0)


@contextmanager
def timed(sites: Mapping[str, str]) -> Iterator[Timers]:
    """Put timers around functions inside the block.

    Each key says where a function is looked up, ``"module:function"`` or ``"module:Class.method"``; the value names its
    timer. The module is imported by its full name, since its package may have a function of the same name.

    Raises
    ------
    AttributeError
        If there is no such function, for example because the package has changed.
    """
    timers = Timers()
    with ExitStack() as stack:
        for where, name in sites.items():
            module, _, path = where.partition(":")
            *classes, attribute = path.split(".")
            owner = reduce(getattr, classes, import_module(module))
            stack.enter_context(patch.object(owner, attribute, _within(timers, name, getattr(owner, attribute))))
        yield timers


def _within(timers: Timers, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        with timers(name):
            return function(*args, **kwargs)

    return timed
