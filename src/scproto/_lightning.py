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
def quiet(level: int = logging.WARNING) -> Iterator[None]:
    """Let Lightning say nothing below a level in the block: by default no notices and tips, but warnings."""
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
