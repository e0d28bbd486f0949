"""Preprocessing: input checks, gene selection, PCA and neighbours."""

from __future__ import annotations

from .prepare import prepare

__all__ = ["prepare"]
