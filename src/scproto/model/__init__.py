"""The model that users train."""

from .scproto import SCPROTO

__all__ = ["SCPROTO"]
