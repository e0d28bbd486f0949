"""The network, its objective, and the embedding of the cells."""

from .embed import embed
from .module import Losses, PrototypeModule

__all__ = ["Losses", "PrototypeModule", "embed"]
