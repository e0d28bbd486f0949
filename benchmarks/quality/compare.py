"""Compare scproto with other methods on labelled data sets: quality, time and memory.

    python benchmarks/quality/compare.py DATA_FOLDER --out results/ --seeds 0 1 2 --n-prototypes 60

DATA_FOLDER holds .h5ad files with raw counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``. The command
computes only what the results folder does not yet contain: repeat it after an interruption, or add seeds, methods or
data. README.md describes each method.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pandas as pd

sys.path.append(str(Path(__file__).parents[1]))

from lab import cli, tables
from lab.data import find_files, numbers_of_metacells
from lab.runs import Run, complete, failures, records, write_tables
from methods import METHODS, Data, prepare
from scoring import score

SHOWN = {
    "total": ("total", 3),
    "bio": ("bio", 3),
    "batch": ("batch", 3),
    "purity": ("purity", 3),
    "balanced_purity": ("balanced", 3),
    "coverage": ("coverage", 2),
    "mean_label_recall": ("recall", 3),
    "batch_entropy": ("entropy", 3),
    "size_cv": ("size CV", 2),
    "corr_weighted": ("scGraph", 2),
}
"""Scores in the printed table: heading and decimals."""


def main() -> None:
    """Run and score the missing methods, and write the tables."""
    parser = cli.parser(__doc__, "files", "--n-prototypes", *cli.OF_PEERS, out=Path("results"), seeds=[0])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS, metavar="METHOD")
    parser.add_argument("--rescore", action="store_true", help="also score existing results again")
    given = parser.parse_args()
    with cli.one_sentence():
        data = [prepare(file, given.out / "inputs") for file in find_files(given.files)]
        numbers = numbers_of_metacells(given.n_prototypes, {one.name: one.n_cells for one in data})
    wanted = product(data, given.seeds, given.methods)
    runs = (run_of(given.out, one, method, numbers[one.name], seed) for one, seed, method in wanted)
    complete(runs, given, write, rescore=given.rescore)
    for name, part in write(given.out).groupby("data", sort=False):
        print(f"**{name}**\n\n{markdown(part)}\n")
    print(failures(given.out))


def run_of(out: Path, data: Data, name: str, n_prototypes: int, seed: int) -> Run:
    """Return the run of a method."""
    method = METHODS[name]
    about = {"data": data.name, "digest": data.digest, "method": name, "seed": seed, "n_prototypes": n_prototypes}
    return Run(
        out / "runs" / data.name / f"{name}_k{n_prototypes}_seed{seed}",
        method,
        [data.original if method.reads_original else data.prepared, "--n-metacells", n_prototypes, "--seed", seed],
        about | {"n_cells": data.n_cells, "n_genes": data.n_genes},
        lambda found: score(found, data.labelled()),
    )


def write(out: Path, keys: Sequence[str] = ("data", "n_prototypes", "method")) -> pd.DataFrame:
    """Write the tables with one row per run, whether it succeeded or not; return the means for each of the keys."""
    rows = []
    for record in records(out):
        found, scores = record.pop("versions"), record.pop("scores")
        record["version"] = found.get(METHODS[record["method"]].package)
        del record["digest"]
        rows.append(record | scores)
    return write_tables(out, rows, list(keys), METHODS)


def markdown(summary: pd.DataFrame) -> str:
    """Return the printed table of one data set, with one row per method."""
    rows = []
    for _, row in summary.iterrows():
        method = "**scproto**" if row["method"] == "scproto" else row["method"]
        rows.append([method, *(tables.spread(row, name, digits) for name, (_, digits) in SHOWN.items())])
    return tables.markdown(["method", *(head for head, _ in SHOWN.values())], rows)


if __name__ == "__main__":
    main()
