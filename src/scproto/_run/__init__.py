"""The whole way from a file of counts to a run folder."""

from __future__ import annotations

from .settings import Settings, Source
from .whole import run

__all__ = ["Settings", "Source", "run"]
