"""Tools: what to do with a trained model."""

from .assign import assign_metacells
from .umap import umap

__all__ = ["assign_metacells", "umap"]
