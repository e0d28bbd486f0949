from __future__ import annotations

import signal

import pytest

from scproto._signals import deferred_signals


def test_an_interrupt_waits_until_the_block_is_done():
    """An interrupted import of torch crashes the process."""
    done = []

    def import_torch():
        with deferred_signals():
            signal.raise_signal(signal.SIGINT)
            done.append(True)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            import_torch()
        assert done == [True]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
