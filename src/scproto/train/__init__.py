"""Training: plan, looks at the whole embedding, schedule, state and checkpoints, diagnostics and snapshots."""

from .checkpoint import Checkpoint
from .snapshots import Snapshots

__all__ = ["Checkpoint", "Snapshots"]
