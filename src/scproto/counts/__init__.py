"""Count matrices: canonical form, detection of non-counts, rounding and log1p CP10k. Arrays in, arrays out."""

from __future__ import annotations

from .canonical import canonical
from .kind import Kind, kind_of
from .normalise import log1p_cp10k
from .rounding import round_near, round_stochastically
from .values import Values, examine

__all__ = [
    "Kind",
    "Values",
    "canonical",
    "examine",
    "kind_of",
    "log1p_cp10k",
    "round_near",
    "round_stochastically",
]
