"""Tools: what to do with a trained model."""

from .assign import assign_metacells
from .check import Check, check
from .resolution import Resolution, choose_resolution
from .umap import umap

__all__ = ["Check", "Resolution", "assign_metacells", "check", "choose_resolution", "umap"]
