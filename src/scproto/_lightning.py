"""What Lightning does to the process that it trains in, undone."""

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
"""Loggers of Lightning that talk; the levels of those above them are set anew when Lightning is imported."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning's notices and tips back in the block; its warnings and errors stay, and so do all levels after."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(max(logger.getEffectiveLevel(), logging.WARNING))
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C out of the block: Lightning turns it into an exit and ignores it from then on.

    Raises
    ------
    KeyboardInterrupt
        In place of Lightning's exit. What happens at Ctrl-C is then as it was before the block.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:
        if not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        if handler is not None:  # it was not set from Python
            signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from stop
