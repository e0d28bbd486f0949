"""From cells to metacells: assignment, the tree of the prototypes, and a table that describes each metacell."""

from .assignment import Assignment, assign, log_probability
from .tree import Level, cut

__all__ = ["Assignment", "Level", "assign", "cut", "log_probability"]
