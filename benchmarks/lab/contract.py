"""The contract that every peer script follows: how it is called, what it reads and what it writes.

    python PEER.py INPUT.h5ad --seed 0 --out result.npz                      denoising
    python PEER.py INPUT.h5ad --seed 0 --out result.npz --n-metacells 60     quality

INPUT holds the counts of the chosen genes in ``X`` and no labels. For quality, it also holds ``obs["batch"]`` and
``obsm["X_pca"]``. The result holds arrays, and in ``versions`` the installed libraries as JSON. The arrays are

- for quality, ``assignment`` with the metacell of each cell, or -1 for a cell that the method left out; and
  ``embedding`` for methods that have one (see :func:`metacells`);
- for denoising, one or more denoised tables ``(n_cells, n_genes)`` in counts at the depth of the input. The name of
  each says what it holds: "mean" holds expected counts.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np

THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
"""Number of threads that a method may use, for libraries that do not read the variable themselves."""

Arrays = dict[str, np.ndarray]


def run(method: Callable[..., Arrays], read: Callable[[Path], Any] | None = None) -> None:
    """Call a method with the input, the number of metacells if given, and the seed; write what it returns.

    `read` reads the input; by default it is read as AnnData.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("input", type=Path)
    parser.add_argument("--n-metacells", type=int)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    out = given.out.resolve()  # a method may change the working directory
    numbers = [given.seed] if given.n_metacells is None else [given.n_metacells, given.seed]
    write(out, method((read or read_h5ad)(given.input), *numbers))


def write(out: Path, found: Arrays) -> None:
    """Write what a method returned, and the versions of the installed libraries."""
    found = {name: np.asarray(array) for name, array in found.items()}
    arrays = {name: array.astype(np.float32) if array.dtype.kind == "f" else array for name, array in found.items()}
    versions = {one.name.lower().replace("_", "-"): one.version for one in distributions()}
    np.savez(out, versions=json.dumps(dict(sorted(versions.items()))), **arrays)


def metacells(assignment: Any, embedding: Any = None) -> Arrays:
    """Return the arrays to write: the metacell of each cell, and an embedding ``(n_cells, n_dims)`` if there is one."""
    arrays = {"assignment": np.asarray(assignment).astype(np.int64)}
    return arrays if embedding is None else arrays | {"embedding": embedding}


def clustered(embedding: Any, n_metacells: int, seed: int) -> Arrays:
    """Return an embedding and its k-means clusters as metacells, for methods that make no metacells themselves."""
    from sklearn.cluster import KMeans

    kmeans = KMeans(n_clusters=n_metacells, n_init=10, random_state=seed)
    return metacells(kmeans.fit_predict(embedding), embedding)


def nearest(embedding: np.ndarray, chosen: np.ndarray) -> Arrays:
    """Assign each cell to the nearest of the chosen cells."""
    from sklearn.metrics import pairwise_distances_argmin

    return metacells(pairwise_distances_argmin(embedding, embedding[chosen]))


def depth_of(adata: Any) -> np.ndarray:
    """Return the total count of each cell, at least 1, as ``(n_cells, 1)``."""
    return np.maximum(np.asarray(adata.X.sum(axis=1), dtype=np.float64).reshape(-1, 1), 1)


def read_h5ad(path: Path) -> Any:
    """Read a file as AnnData."""
    import anndata

    return anndata.read_h5ad(path)
