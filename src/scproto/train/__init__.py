"""Training: steps, looks at the whole embedding, schedule, checkpoints, diagnostics and snapshots."""

from .checkpoint import Checkpoint
from .snapshots import Snapshots

__all__ = ["Checkpoint", "Snapshots"]
