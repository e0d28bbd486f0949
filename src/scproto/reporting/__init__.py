"""The report of a run: one HTML file that a browser opens anywhere."""

from __future__ import annotations

from .figures import draw_figures
from .write import report, write_report

__all__ = ["draw_figures", "report", "write_report"]
