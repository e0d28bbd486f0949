"""Signals that wait until a block is done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Delay Ctrl-C and the end of a job until the block is done, because an interrupted import may crash Python."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread handles signals
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    numbers = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    before: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if callable(handler):
            signal.signal(number, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        for number, handler in before.items():
            if callable(handler):
                signal.signal(number, handler)
    for number, frame in came[:1]:
        before[number](number, frame)
