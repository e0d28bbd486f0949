"""What every script has in common: how it is called, what it reads and what it writes.

    python PEER.py INPUT.h5ad --seed 0 --out result.npz

INPUT holds counts in ``X``. The result holds one or more denoised tables ``(n_cells, n_genes)``, named by what they
are, in counts at the depth of the input; and ``versions``, the installed libraries, as JSON. A table called
"mean" holds expected counts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np

Tables = dict[str, np.ndarray]


def run(method: Callable[[Any, int], Tables]) -> None:
    """Call a method on the input that the command line names, and write what it finds.

    Parameters
    ----------
    method
        Takes the cells as AnnData and the seed.
    """
    import anndata

    parser = argparse.ArgumentParser()
    parser.add_argument("input", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    tables = method(anndata.read_h5ad(arguments.input), arguments.seed)
    installed = {found.name.lower().replace("_", "-"): found.version for found in distributions()}
    arrays = {name: np.asarray(table, dtype=np.float32) for name, table in tables.items()}
    np.savez(arguments.out, versions=json.dumps(dict(sorted(installed.items()))), **arrays)


def depth_of(adata: Any) -> np.ndarray:
    """Return the counts of each cell, at least one, ``(n_cells, 1)``."""
    return np.maximum(np.asarray(adata.X.sum(axis=1), dtype=np.float64).reshape(-1, 1), 1)
