"""Simulate an atlas of any size whose counts are as sparse as those of blood cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scproto._files import atomic_path
from scproto.datasets import simulate_atlas

DEPTH = 0.1
"""Mean count per cell and gene. It leaves 6 % of the entries of the chosen genes non-zero."""

SMOKE = 300.0
"""Mean count per cell when there are so few genes that `DEPTH` would leave some cells without counts."""


def measure(arguments: dict[str, Any]) -> dict[str, Any]:
    """Write an atlas with the given numbers of ``cells``, ``genes`` and ``batches`` to ``path``."""
    cells, genes, batches = arguments["cells"], arguments["genes"], arguments["batches"]
    atlas = simulate_atlas(cells, genes, batches, 10, depth=DEPTH * genes if genes >= 1000 else SMOKE)
    with atomic_path(Path(arguments["path"])) as path:
        atlas.write_h5ad(path)
    return {"non_zero": atlas.X.nnz / (cells * genes)}
