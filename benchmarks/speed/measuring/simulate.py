"""The simulated atlas: as sparse as counts of blood cells, whatever its size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scproto._files import atomic_path
from scproto.datasets import simulate_atlas

DEPTH = 0.1
"""Mean counts of a cell over the number of genes. It leaves 6 % of the entries of the chosen genes non-zero."""

SMOKE = 300.0
"""Mean counts of a cell where there are so few genes that cells would be left without any."""


def measure(arguments: dict[str, Any]) -> dict[str, Any]:
    """Write an atlas to ``path``, of the numbers of ``cells``, ``genes`` and ``batches``."""
    cells, genes, batches = arguments["cells"], arguments["genes"], arguments["batches"]
    atlas = simulate_atlas(cells, genes, batches, 10, depth=DEPTH * genes if genes >= 1000 else SMOKE)
    with atomic_path(Path(arguments["path"])) as path:
        atlas.write_h5ad(path)
    return {"non_zero": atlas.X.nnz / (cells * genes)}
