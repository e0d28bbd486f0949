"""The report of a run: one HTML file that a browser opens anywhere."""

from __future__ import annotations

from .write import report, write_report

__all__ = ["report", "write_report"]
