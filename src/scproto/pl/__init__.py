"""Figures. Each function draws into the axes that it is given and returns them; none shows a window."""

from __future__ import annotations

from .metacells import batch_shares, metacell_sizes
from .training import training
from .umap import umap

__all__ = ["batch_shares", "metacell_sizes", "training", "umap"]
