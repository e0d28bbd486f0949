"""Change one thing of scproto at a time and score the result.

    python benchmarks/quality/ablation.py data/*.h5ad --n-prototypes 60 pbmc=150 --seeds 0 1 2 --out ablation.csv

Each file needs raw counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``. The rows that are in the output
already are not computed again. Printed are tables with mean and standard deviation over the seeds; with ``--table``
they are printed of what is in the output, and nothing is computed. ``--summary`` also puts means and deviations into a
CSV, in place of what it has of the same variants; ``benchmarks/pages.py`` makes the tables of the docs from that.
``variants.py`` says what is changed.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from functools import cache
from itertools import product
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from comparison.inputs import find_files, numbers_of_metacells
from variants import VARIANTS, Variant

import scproto
from scproto._errors import InputError
from scproto.inputs.files import read_cells, read_obs
from scproto.train.schedule import plan_budget

KEYS = ["variant", "data", "seed", "n_prototypes", "max_steps"]
"""What tells rows apart."""

SUMMARY_KEYS = ["variant", "data", "n_prototypes", "max_steps"]
"""What tells rows of a summary apart."""

INTEGRATION = ["total", "bio", "batch", "bras"]
METACELLS = ["purity", "balanced_purity", "coverage", "mean_label_recall", "batch_entropy", "size_cv"]
SCORES = [*INTEGRATION, *METACELLS, "scgraph", "seconds"]

HEADS = {
    "total": "total",
    "bio": "bio",
    "batch": "batch",
    "purity": "purity",
    "balanced_purity": "balanced purity",
    "coverage": "coverage",
    "mean_label_recall": "recall",
    "batch_entropy": "batch entropy",
    "size_cv": "size CV",
    "scgraph": "scGraph",
}
"""Columns of the printed tables."""


@cache
def prepared(data: Path, seed: int) -> AnnData:
    """Cells of a file with the genes that scproto chooses, as all methods get them in the comparison."""
    adata = read_cells(data)
    scproto.pp.prepare(adata, batch_key="batch", seed=seed)
    adata = adata[:, adata.var["scproto_gene"].to_numpy()].copy()
    scproto.SCPROTO.setup_anndata(adata)  # once: scvi-tools keeps all cells that were set up
    return adata


def fit(adata: AnnData, variant: Variant, seed: int, n_prototypes: int, max_steps: int | None) -> float:
    """Train a variant and assign the cells; return the seconds of training."""
    if variant.steps != 1:
        max_steps = round(variant.steps * (max_steps or plan_budget(adata.n_obs, batch_size=256).n_steps))
    with variant.change():
        model = scproto.SCPROTO(adata, n_prototypes=n_prototypes, seed=seed, **variant.constants)
        start = perf_counter()
        model.train(max_steps=max_steps, accelerator="cpu", enable_progress_bar=False, **variant.training)
        seconds = perf_counter() - start
    scproto.tl.assign_metacells(adata, model)
    return seconds


def score(adata: AnnData) -> dict[str, float]:
    """Score embedding and metacells of the cells with a label."""
    adata = adata[adata.obs["cell_type"].notna().to_numpy()]
    unit, labels, batches = adata.obsm["X_scproto"], adata.obs["cell_type"].astype(str), adata.obs["batch"].astype(str)
    integration = scproto.metrics.integration_scores(unit, labels, batches)
    metacells = scproto.metrics.metacell_scores(adata.obs["metacell"].astype(str), labels, batches)
    scores = {name: integration.get(name, np.nan) for name in INTEGRATION} | {
        name: metacells[name] for name in METACELLS
    }
    try:
        graph = scproto.metrics.scgraph_scores(unit, scproto.metrics.log1p_cp10k(adata.X), labels, batches)
    except InputError:  # batches are small or labels few
        graph = {"corr_weighted": np.nan}
    return scores | {"scgraph": graph["corr_weighted"]}


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over the seeds, a row for each variant, data set, number and steps."""
    groups = rows.groupby(SUMMARY_KEYS, sort=False)
    parts = {"seeds": groups.size()}
    for name in HEADS:
        parts |= {f"{name}_mean": groups[name].mean(), f"{name}_sd": groups[name].std()}
    return pd.DataFrame(parts).reset_index()


def add(summary: pd.DataFrame, path: Path) -> None:
    """Put rows of :func:`summarise` into a file of such rows, in place of the rows that they do anew."""
    if path.exists():
        summary = pd.concat([pd.read_csv(path, dtype={"max_steps": str}), summary])
    summary = summary[summary["variant"].isin(VARIANTS)].drop_duplicates(SUMMARY_KEYS, keep="last")
    data, variants = list(dict.fromkeys(summary["data"])), list(VARIANTS)
    order = {"data": data.index, "variant": variants.index}
    summary = summary.sort_values(["data", "variant"], key=lambda column: column.map(order[column.name]))
    summary.to_csv(path, index=False, float_format="%.3f")


def tables(summary: pd.DataFrame) -> str:
    """Rows of :func:`summarise` as one Markdown table for each data set."""
    lines = []
    for (data, n_prototypes, max_steps), part in summary.groupby(["data", "n_prototypes", "max_steps"], sort=False):
        steps = "" if max_steps == "auto" else f", {max_steps} steps"
        lines += [f"**{data}**, {n_prototypes} prototypes{steps}", "", _line(["variant", *HEADS.values(), "seeds"])]
        lines.append(_line(["---"] * (len(HEADS) + 2)))
        for _, row in part.iterrows():
            lines.append(_line([row["variant"], *(_spread(row, name) for name in HEADS), str(row["seeds"])]))
        lines.append("")
    return "\n".join(lines)


def _spread(row: pd.Series, name: str) -> str:
    mean, sd = row[f"{name}_mean"], row[f"{name}_sd"]
    return "" if np.isnan(mean) else f"{mean:.3f}" + ("" if np.isnan(sd) else f" ± {sd:.3f}")


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def read(out: Path) -> pd.DataFrame:
    """Rows that are there, none without a file."""
    rows = pd.read_csv(out, dtype={"max_steps": str}) if out.exists() else pd.DataFrame(columns=KEYS + SCORES)
    if list(rows.columns) != KEYS + SCORES:
        sys.exit(f"{out} has other columns than this version writes: name another file.")
    return rows[rows["variant"].isin(VARIANTS)]


def compute(arguments: argparse.Namespace) -> bool:
    """Fit and score what is missing; say whether all went well."""
    files = find_files(arguments.data)
    sizes = [SimpleNamespace(name=file.stem, n_cells=len(read_obs(file))) for file in files]
    numbers = numbers_of_metacells(arguments.n_prototypes, sizes)
    done = {tuple(map(str, row)) for row in read(arguments.out)[KEYS].to_numpy()}
    well = True
    for variant, data, seed in product(arguments.variants, files, arguments.seeds):
        row = (variant, data.stem, seed, numbers[data.stem], arguments.max_steps or "auto")
        if tuple(map(str, row)) in done:
            continue
        try:
            adata = prepared(data, seed)
            seconds = fit(adata, VARIANTS[variant], seed, numbers[data.stem], arguments.max_steps)
            scores = score(adata) | {"seconds": seconds}
        except Exception:  # a variant that fails must not end the others
            traceback.print_exc()
            well = False
            continue
        line = pd.DataFrame([dict(zip(KEYS, row, strict=True)) | scores], columns=KEYS + SCORES)
        line.to_csv(arguments.out, mode="a", header=not arguments.out.exists(), index=False)
        print(f"{variant}, {data.stem}, seed {seed}: {seconds:.0f} s", file=sys.stderr, flush=True)
    return well


def main() -> None:
    """Score every variant on every data set and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", type=Path, help="folders or .h5ad files")
    parser.add_argument(
        "--n-prototypes",
        nargs="+",
        default=[],
        metavar="K|NAME=K",
        help="prototypes: for all data sets, for one by the name of its file, or both; else one for 75 cells",
    )
    parser.add_argument("--max-steps", type=int, help="steps of the default; else the package's own number")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS), metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("ablation.csv"))
    parser.add_argument("--summary", type=Path, help="CSV of means and deviations to add to")
    parser.add_argument("--table", action="store_true", help="print the tables of the output and compute nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    try:
        well = arguments.table or compute(arguments)
    except InputError as error:
        sys.exit(str(error))
    rows = read(arguments.out)
    summary = summarise(rows.sort_values("variant", key=lambda column: column.map(list(VARIANTS).index)))
    if arguments.summary:
        add(summary, arguments.summary)
    print(tables(summary))
    sys.exit(not well)


if __name__ == "__main__":
    main()
