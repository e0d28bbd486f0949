"""What every peer script has in common: how it is called, what it reads and what it writes.

    python PEER.py INPUT.h5ad --n-metacells 60 --seed 0 --out result.npz

INPUT holds counts of the chosen genes in ``X``, ``obs["batch"]`` and ``obsm["X_pca"]``, and no labels. The result
holds ``assignment``, one metacell a cell with -1 for a cell that was left out, for methods with an embedding
``embedding``, and ``versions``, the installed libraries as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
"""Threads that the benchmark grants, for libraries that do not read the variable themselves."""


class Result(NamedTuple):
    """What a method finds."""

    assignment: np.ndarray
    """Metacell of each cell, ``(n_cells,)``; -1: none."""
    embedding: np.ndarray | None = None
    """Coordinates of the cells, ``(n_cells, n_dims)``."""


def run(method: Callable[[Any, int, int], Result], read: Callable[[Path], Any] | None = None) -> None:
    """Call a method on the input that the command line names, and write what it finds.

    Parameters
    ----------
    method
        Takes the input, the number of metacells and the seed.
    read
        Reads the input; by default as AnnData.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("input", type=Path)
    parser.add_argument("--n-metacells", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    out = arguments.out.resolve()  # a method may change the folder
    result = method((read or read_h5ad)(arguments.input), arguments.n_metacells, arguments.seed)
    arrays = {"assignment": np.asarray(result.assignment).astype(np.int64)}
    if result.embedding is not None:
        arrays["embedding"] = np.asarray(result.embedding, dtype=np.float32)
    np.savez(out, versions=json.dumps(installed_versions()), **arrays)


def read_h5ad(path: Path) -> Any:
    """Read the cells as AnnData."""
    import anndata

    return anndata.read_h5ad(path)


def installed_versions() -> dict[str, str]:
    """Return the version of every library in the environment, by its normalised name."""
    return dict(sorted((found.name.lower().replace("_", "-"), found.version) for found in distributions()))


def kmeans(embedding: np.ndarray, n_metacells: int, seed: int) -> np.ndarray:
    """Cluster the cells by k-means: metacells for methods that have an embedding only, ``(n_cells,)``."""
    from sklearn.cluster import KMeans

    return KMeans(n_clusters=n_metacells, n_init=10, random_state=seed).fit_predict(embedding)


def nearest(embedding: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Assign each cell to the nearest of the chosen cells, ``(n_cells,)``."""
    from sklearn.metrics import pairwise_distances_argmin

    return pairwise_distances_argmin(embedding, embedding[chosen])
