"""The network, its objective, and the embedding that it gives."""

from .embed import embed
from .module import Losses, PrototypeModule

__all__ = ["Losses", "PrototypeModule", "embed"]
