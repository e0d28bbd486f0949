"""Compute the largest batch entropy that pure metacells can have, given the composition of the batches.

    python benchmarks/quality/ceiling.py data/*.h5ad --n-prototypes 60 pbmc=150 --out ceiling.csv

Each file needs ``obs`` columns ``batch`` and ``cell_type``. There are two bounds. The first has one metacell per label.
The second has the requested number of metacells, each with randomly drawn cells of one label (mean over the seeds).
Small metacells hold few cells of a small batch, so chance alone keeps them below the first bound.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.append(str(Path(__file__).parents[1]))

from lab import cli, tables
from lab.data import find_files, numbers_of_files

from scproto.inputs import read_obs
from scproto.metrics import batch_entropy, contingency


def random_pure(labels: np.ndarray, n_metacells: int, rng: np.random.Generator) -> np.ndarray:
    """Return metacells ``(n_cells,)`` that have one label each and about the same size."""
    assignment = np.empty(len(labels), dtype=object)
    for label in np.unique(labels):
        cells = np.flatnonzero(labels == label)
        n = max(1, round(len(cells) / len(labels) * n_metacells))
        assignment[cells] = [f"{label} {i}" for i in rng.permutation(len(cells)) % n]
    return assignment


def main() -> None:
    """Print and write one row per data set."""
    parser = cli.parser(__doc__, "files", "--n-prototypes", "--seeds", "--out", out=Path("ceiling.csv"), seeds=range(5))
    given = parser.parse_args()
    rows = []
    with cli.one_sentence():
        files = find_files(given.files)
        numbers = numbers_of_files(given.n_prototypes, files)
    for file in files:
        obs, number = read_obs(file)[["batch", "cell_type"]].dropna().astype(str), numbers[file.stem]
        labels, batches = obs["cell_type"].to_numpy(), obs["batch"].to_numpy()
        drawn = [random_pure(labels, number, np.random.default_rng(seed)) for seed in given.seeds]
        bounds = {
            "a metacell for each label": batch_entropy(contingency(labels, batches)),
            "pure and random": np.mean([batch_entropy(contingency(one, batches)) for one in drawn]),
        }
        rows.append({"data": file.stem, "n_prototypes": number} | bounds)
    table = pd.DataFrame(rows)
    tables.write_csv(given.out, table, 3)
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
