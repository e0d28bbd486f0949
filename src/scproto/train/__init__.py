"""Training: plan, schedule, diagnostics and snapshots."""

from .snapshots import Snapshots

__all__ = ["Snapshots"]
