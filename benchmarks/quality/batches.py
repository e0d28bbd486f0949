"""Cut the batches of labelled data sets into parts, and score methods that take each part for a batch.

    python benchmarks/quality/batches.py data/*.h5ad --parts 1 4 12 50 --methods scproto harmony --out batches/

Each file needs raw counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``. Each batch is cut at random into
parts of about equal size, so that only the number of batches changes. All scores use the batches of the file, not the
parts, and the genes that scproto chooses for the whole batches. The script prints the scores for whole batches, and how
much they change for each number of parts. Like ``compare.py``, it computes only what the results folder does not yet
contain.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.append(str(Path(__file__).parents[1]))

from compare import run_of, write
from lab import cli, tables
from lab.data import find_files, numbers_of_metacells
from lab.processes import OK
from lab.runs import complete, failures
from methods import METHODS, Data, prepare
from scoring import score

from scproto._files import atomic_path
from scproto.inputs import read_cells

SHOWN = ["total", "bio", "batch", "corr_weighted", "purity", "batch_entropy"]
"""Scores in the tables of changes."""

KEYS = ["data", "n_prototypes", "parts", "method"]


def parts_of(batches: np.ndarray, n_parts: int, seed: int) -> np.ndarray:
    """Cut each batch at random into parts; a batch with fewer cells than parts has one cell per part."""
    rng = np.random.default_rng(seed)
    names = np.empty(len(batches), dtype=object)
    for batch in np.unique(batches):
        cells = rng.permutation(np.flatnonzero(batches == batch))
        for i, part in enumerate(np.array_split(cells, min(n_parts, len(cells)))):
            names[part] = f"{batch}_{i}"
    return names


def cut(whole: Data, n_parts: int, seed: int, out: Path) -> Data:
    """Return the data set with parts as its batches; write its file unless it is newer than the original."""
    if n_parts == 1:
        return whole
    path = out / "cut" / f"{whole.name}_{n_parts}parts_seed{seed}.h5ad"
    if not path.exists() or path.stat().st_mtime < whole.original.stat().st_mtime:
        cells = read_cells(whole.original)
        cells.obs["batch"] = parts_of(cells.obs["batch"].astype(str).to_numpy(dtype=object), n_parts, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            cells.write_h5ad(temporary, compression="gzip")
    return prepare(path, out / "inputs")


def changes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard deviation of each score with parts minus the score with whole batches, seed by seed."""
    rows = rows[rows["status"] == OK]
    scores = [name for name in SHOWN if name in rows]
    same = [rows[key] for key in KEYS if key != "parts"] + [rows["seed"]]
    whole = rows[scores].where(rows["parts"] == 1).groupby(same).transform("first")
    changed = rows[[*KEYS, "seed"]].join(rows[scores] - whole)
    return tables.summarise(changed[changed["parts"] > 1], KEYS, scores)


def markdown(whole: pd.DataFrame, changed: pd.DataFrame) -> str:
    """Return the printed table of one data set, with one row per score and method."""
    numbers = sorted(changed["parts"].unique())
    lines = []
    for name, (_, row) in product(SHOWN, whole.iterrows()):
        mine = changed[changed["method"] == row["method"]].set_index("parts")
        texts = [tables.spread(mine.loc[n], name) if n in mine.index else "" for n in numbers]
        lines.append([f"{name}, {row['method']}", tables.spread(row, name), *texts])
    return tables.markdown(["score", "whole batches", *(f"{n} parts" for n in numbers)], lines)


def main() -> None:
    """Run and score the missing methods, and write the tables."""
    parser = cli.parser(__doc__, "files", "--n-prototypes", *cli.OF_PEERS, out=Path("batches"))
    several = ["scproto", "harmony", "scvi", "concord"]
    parser.add_argument("--parts", nargs="+", type=int, default=[1, 4, 12, 50], help="parts per batch (1 is added)")
    parser.add_argument("--methods", nargs="+", default=several, choices=METHODS, metavar="METHOD")
    given = parser.parse_args()
    if min(given.parts) < 1:
        parser.error("--parts must be at least 1.")
    with cli.one_sentence():
        data = [prepare(file, given.out / "inputs") for file in find_files(given.files)]
        numbers = numbers_of_metacells(given.n_prototypes, {one.name: one.n_cells for one in data})
        runs = []
        for whole, seed, n_parts in product(data, given.seeds, sorted({1, *given.parts})):
            one = cut(whole, n_parts, seed, given.out)
            for method in given.methods:
                run = run_of(given.out, one, method, numbers[whole.name], seed)
                about = run.about | {"data": whole.name, "parts": n_parts}
                runs.append(replace(run, about=about, score=lambda found, whole=whole: score(found, whole.labelled())))
    complete(runs, given, lambda out: write(out, KEYS))
    summary = write(given.out, KEYS)
    changed = changes(pd.read_csv(given.out / "scores.csv"))
    tables.write_csv(given.out / "changes.csv", changed)
    for (name, n_prototypes), part in summary[summary["parts"] == 1].groupby(["data", "n_prototypes"], sort=False):
        mine = changed[(changed["data"] == name) & (changed["n_prototypes"] == n_prototypes)]
        print(f"**{name}**, {n_prototypes} metacells\n\n{markdown(part, mine)}\n")
    print(failures(given.out))


if __name__ == "__main__":
    main()
