"""Cells to metacells: assignment, the tree of the prototypes, and what the cells of a metacell have in common."""

from .assignment import Assignment, assign, log_probability
from .tree import Level, cut

__all__ = ["Assignment", "Level", "assign", "cut", "log_probability"]
