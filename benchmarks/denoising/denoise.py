"""Compare scproto with other denoising methods on held-out molecules.

    python benchmarks/denoising/denoise.py DATA --out results/ --seeds 0 1 2

DATA is one or more .h5ad files, or folders of them, with raw counts in ``X`` and ``obs`` columns ``batch`` and
``cell_type``; only the largest batch is used. The command computes only what the results folder does not yet contain:
repeat it after an interruption, or add seeds, methods or data. README.md describes the scores and the methods.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import pandas as pd

sys.path.append(str(Path(__file__).parents[1]))

from heldout import score_all
from lab import cli, tables
from lab.data import find_files
from lab.runs import Method, Run, complete, failures, records, write_tables
from split import Split, split

from scproto.inputs import read_cells

PEERS = Path(__file__).with_name("peers")

METHODS = {
    "scproto": Method("scproto", PEERS / "scproto_levels.py"),
    "none": Method("no denoising", PEERS / "no_denoising.py"),
    "knn": Method("kNN smoothing", PEERS / "knn_smoothing.py"),
    "magic": Method("MAGIC", PEERS / "magic_impute.py"),
    "low_rank": Method("low rank", PEERS / "low_rank.py"),
    "scvi": Method("scVI", PEERS / "scvi_defaults.py"),
}
"""Methods by the name that ``--methods`` takes."""

SHOWN = {
    "mse": ("MSE", 4),
    "poisson": ("Poisson", 5),
    "poisson_swapped": ("Poisson, swapped", 4),
    "auroc": ("marker AUROC", 3),
    "decoy_correlation": ("decoys: correlation", 3),
    "decoy_de": ("decoys: DE", 2),
    "permuted_de_mean": ("permuted: DE, mean", 3),
    "permuted_de_most": ("permuted: DE, max", 2),
}
"""Scores in the printed tables: heading and decimals. The first three have a standard deviation."""


def main() -> None:
    """Run the missing methods and write the tables."""
    parser = cli.parser(__doc__, "files", *cli.OF_PEERS, out=Path("results"), seeds=[0])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS, metavar="METHOD")
    parser.add_argument("--n-genes", type=int, default=2000, help="number of highly variable genes for all methods")
    given = parser.parse_args()
    with cli.one_sentence():
        files = product(find_files(given.files), given.seeds)
        splits = [split(file, given.out / "inputs", seed, given.n_genes) for file, seed in files]
    complete((run_of(given.out, both, method) for both, method in product(splits, given.methods)), given, write)
    for (data, n_genes), part in write(given.out).groupby(["data", "n_genes"], sort=False):
        print(f"**{data}**, at most {n_genes} genes\n\n{markdown(part)}\n")
    print(failures(given.out))


def run_of(out: Path, both: Split, name: str) -> Run:
    """Return the run of a method."""
    about = {"data": both.name, "digest": both.digest, "n_genes": both.n_genes, "method": name, "seed": both.seed}
    return Run(
        out / "runs" / both.name / f"{name}_g{both.n_genes}_seed{both.seed}",
        METHODS[name],
        [both.seen, "--seed", both.seed],
        about,
        lambda found: score_all(found, read_cells(both.seen), read_cells(both.held_out), both.seed),
        keeps_result=False,  # it holds several large dense tables
    )


def write(out: Path) -> pd.DataFrame:
    """Write the tables with one row per denoised table of each run and one per failed run; return the means."""
    rows = []
    for record in records(out):
        known = {name: record[name] for name in ("data", "n_genes", "method", "seed", "status", "seconds")}
        rows += [known | {"table": name} | values for name, values in (record["scores"] or {"": {}}).items()]
    return write_tables(out, rows, ["data", "n_genes", "method", "table"], METHODS)


def markdown(summary: pd.DataFrame) -> str:
    """Return the printed table of one data set, with the lowest MSE and Poisson loss in bold."""
    shown = [name for name in SHOWN if f"{name}_mean" in summary and summary[f"{name}_mean"].notna().any()]
    best = {name: summary[f"{name}_mean"].min() for name in ("mse", "poisson")}
    rows = []
    for _, row in summary.iterrows():
        name = f"{METHODS[row['method']].title}: {row['table']}"
        if row["seeds"] < summary["seeds"].max():
            name += f" ({row['seeds']} seed{'s' * (row['seeds'] > 1)})"
        rows.append([name, *(_cell(row, column, best.get(column)) for column in shown)])
    return tables.markdown(["method", *(SHOWN[name][0] for name in shown)], rows)


def in_short(summary: pd.DataFrame, titles: dict[str, str]) -> str:
    """Return a table with data sets by column, and scproto's chosen denoising and the other methods by row."""
    shown = (summary["method"] != "scproto") | summary["table"].str.startswith("chosen")
    parts = dict(list(summary[shown].groupby("data", sort=False)))
    columns = [(data, score) for data in parts for score in ("mse", "poisson")]
    best = {(data, score): parts[data][f"{score}_mean"].min() for data, score in columns}
    rows = []
    for (method, table), lines in summary[shown].groupby(["method", "table"], sort=False):
        by_data = lines.set_index("data")
        cells = [_cell(by_data.loc[data], score, best[data, score]) for data, score in columns]
        rows.append([f"{METHODS[method].title}: {table}", *cells])
    return tables.markdown(["method", *(f"{titles[data]}: {SHOWN[score][0]}" for data, score in columns)], rows)


def _cell(row: pd.Series, name: str, best: float | None) -> str:
    digits = SHOWN[name][1]
    with_deviation = name in list(SHOWN)[:3]
    mean = row[f"{name}_mean"]
    text = tables.spread(row, name, digits) if with_deviation or pd.isna(mean) else f"{mean:.{digits}f}"
    return f"**{text}**" if mean == best else text


if __name__ == "__main__":
    main()
