"""From cells to metacells: assignment, the tree of the prototypes, and a table that describes each metacell."""

from .assignment import Assignment, assign, log_probability
from .axes import Axes, fit_axes
from .profiles import Profiles
from .tree import Level, cut

__all__ = ["Assignment", "Axes", "Level", "Profiles", "assign", "cut", "fit_axes", "log_probability"]
