"""Undo what Lightning does to the process in which it trains."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = (
    "lightning.fabric.utilities",
    "lightning.pytorch.callbacks",
    "lightning.pytorch.loops",
    "lightning.pytorch.trainer",
    "lightning.pytorch.utilities",
)
"""Loggers of Lightning that write messages; importing Lightning resets the levels of their parents."""


@contextmanager
def quiet(level: int = logging.WARNING) -> Iterator[None]:
    """Silence Lightning's messages below a level in the block: by default notices and tips, but not warnings."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(max(logger.getEffectiveLevel(), level))
    try:
        yield
    finally:
        for logger, before in zip(loggers, levels, strict=True):
            logger.setLevel(before)


@contextmanager
def interruptible() -> Iterator[None]:
    """Pass Ctrl-C on to the caller of the block; Lightning would turn it into an exit and ignore it from then on.

    Raises
    ------
    KeyboardInterrupt
        Instead of Lightning's exit. The handler of Ctrl-C from before the block is back in place by then.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:
        if not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        if handler is not None:  # None: it was not set from Python
            signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from stop
