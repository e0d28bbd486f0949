"""Largest batch entropy that pure metacells can have, by the composition of the batches alone.

    python benchmarks/quality/ceiling.py data/*.h5ad --n-prototypes 60

Each file needs ``obs`` columns ``batch`` and ``cell_type``. Two bounds: a metacell for each label, and the asked number
of metacells, each of one label and with cells of it drawn at random (mean over the seeds). Small metacells hold few
cells of a small batch, so that chance alone keeps them from the first bound.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

from scproto.metrics import batch_entropy, contingency


def random_pure(labels: np.ndarray, n_metacells: int, rng: np.random.Generator) -> np.ndarray:
    """Metacells of one label each and of about the same size, ``(n_cells,)``."""
    assignment = np.empty(len(labels), dtype=object)
    for label in np.unique(labels):
        cells = np.flatnonzero(labels == label)
        n = max(1, round(len(cells) / len(labels) * n_metacells))
        assignment[cells] = [f"{label} {i}" for i in rng.permutation(len(cells)) % n]
    return assignment


def main() -> None:
    """Print a row for each data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--n-prototypes", type=int, required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    arguments = parser.parse_args()
    rows = []
    for data in arguments.data:
        obs = anndata.read_h5ad(data, backed="r").obs[["batch", "cell_type"]].dropna().astype(str)
        labels, batches = obs["cell_type"].to_numpy(), obs["batch"].to_numpy()
        drawn = [random_pure(labels, arguments.n_prototypes, np.random.default_rng(seed)) for seed in arguments.seeds]
        rows.append(
            {
                "data": data.stem,
                "a metacell for each label": batch_entropy(contingency(labels, batches)),
                "pure and random": np.mean([batch_entropy(contingency(one, batches)) for one in drawn]),
            }
        )
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
