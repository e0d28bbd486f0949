"""The error that scproto raises for bad input."""

from __future__ import annotations


class InputError(ValueError):
    """Input that scproto cannot work with; the message says what is wrong, where, and how to mend it."""
