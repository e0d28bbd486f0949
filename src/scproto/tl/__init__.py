"""Tools: what to do with a trained model."""

from .assign import assign_metacells
from .resolution import Resolution, choose_resolution
from .umap import umap

__all__ = ["Resolution", "assign_metacells", "choose_resolution", "umap"]
