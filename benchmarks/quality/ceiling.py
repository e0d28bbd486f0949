"""Largest batch entropy that pure metacells can have, by the composition of the batches alone.

    python benchmarks/quality/ceiling.py data/*.h5ad --n-prototypes 60 pbmc=150 --out ceiling.csv

Each file needs ``obs`` columns ``batch`` and ``cell_type``. Two bounds: a metacell for each label, and the asked number
of metacells, each of one label and with cells of it drawn at random (mean over the seeds). Small metacells hold few
cells of a small batch, so that chance alone keeps them from the first bound.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
from comparison.inputs import find_files, numbers_of_metacells

from scproto.inputs.files import read_obs
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
    """Print and write a row for each data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--n-prototypes", nargs="+", default=[], metavar="K|NAME=K")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--out", type=Path, default=Path("ceiling.csv"))
    arguments = parser.parse_args()
    tables = {file.stem: read_obs(file) for file in find_files(arguments.data)}
    sizes = [SimpleNamespace(name=name, n_cells=len(obs)) for name, obs in tables.items()]
    rows = []
    for name, number in numbers_of_metacells(arguments.n_prototypes, sizes).items():
        obs = tables[name][["batch", "cell_type"]].dropna().astype(str)
        labels, batches = obs["cell_type"].to_numpy(), obs["batch"].to_numpy()
        drawn = [random_pure(labels, number, np.random.default_rng(seed)) for seed in arguments.seeds]
        rows.append(
            {
                "data": name,
                "n_prototypes": number,
                "a metacell for each label": batch_entropy(contingency(labels, batches)),
                "pure and random": np.mean([batch_entropy(contingency(one, batches)) for one in drawn]),
            }
        )
    table = pd.DataFrame(rows)
    table.to_csv(arguments.out, index=False, float_format="%.3f")
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
