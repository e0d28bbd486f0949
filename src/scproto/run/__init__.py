"""Everything from a file of counts to a complete run folder."""

from __future__ import annotations

from .fit import run
from .settings import Settings, Source

__all__ = ["Settings", "Source", "run"]
