"""Figures. Each function draws into the axes that it is given and returns them; none opens a window.

Only the training movie is written to a file.
"""

from __future__ import annotations

from .axes import axes
from .colors import palette
from .compare import compare
from .coverage import coverage
from .marker_scatter import marker_scatter
from .metacell_map import metacell_map
from .metacells import batch_shares, metacell_sizes
from .training import training
from .training_movie import training_movie
from .tree import tree
from .umap import umap

__all__ = [
    "axes",
    "batch_shares",
    "compare",
    "coverage",
    "marker_scatter",
    "metacell_map",
    "metacell_sizes",
    "palette",
    "training",
    "training_movie",
    "tree",
    "umap",
]
