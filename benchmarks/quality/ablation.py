"""Change one setting of scproto at a time and score the result.

    python benchmarks/quality/ablation.py data/*.h5ad --n-prototypes 60 pbmc=150 --seeds 0 1 2 --out ablation.csv

Each file needs raw counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``. The rows that are in the output
already are not computed again. Printed are tables with mean and standard deviation over the seeds; with ``--table``
they are printed of what is in the output, and nothing is computed. ``--summary`` also puts means and deviations into a
CSV, in place of what it has of the same variants; ``benchmarks/pages.py`` makes the tables of the docs from that.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from functools import cache
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
import torch
from anndata import AnnData

sys.path.append(str(Path(__file__).parents[1]))

from lab import cli, tables
from lab.data import find_files, load, numbers_of_files
from scoring import integration

import scproto
from scproto.train.schedule import plan_budget

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "no rounds of alignment": {"n_alignment": 0},
    "plain softmax targets": {"n_sinkhorn": 0},
    "no propagation": {"weight_propagation": 0.0},
    "reconstruction, weight 0.1": {"weight_cvae": 0.1},
    "temperature 0.05, epsilon 0.025": {"temperature": 0.05, "epsilon": 0.025},
    "epsilon 0.1": {"epsilon": 0.1},
    "latent 8": {"n_latent": 8},
    "latent 32": {"n_latent": 32},
    "half the learning rate": {"training": {"learning_rate": 2e-3}},
    "half the steps": {"steps": 0.5},
    "twice the steps": {"steps": 2.0},
    "minibatch of 512, half the steps": {"steps": 0.5, "training": {"batch_size": 512}},
}
"""Name and change of each variant: what :class:`scproto.SCPROTO` gets, in ``training`` what its ``train`` gets, and in
``steps`` the steps relative to the default's."""

KEYS = ["variant", "data", "n_prototypes", "max_steps"]
"""What tells rows of a summary apart."""

SHOWN = {
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
"""Scores, and what the tables call them."""

COLUMNS = [*KEYS, "seed", *SHOWN, "seconds"]


@cache
def cells(data: Path, seed: int) -> AnnData:
    """Return the cells of a file with the genes that scproto chooses."""
    adata = load(data, seed=seed)
    adata = adata[:, adata.var["scproto_gene"].to_numpy()].copy()
    scproto.SCPROTO.setup_anndata(adata)  # once: scvi-tools keeps all cells that were set up
    return adata


def fit(adata: AnnData, change: dict[str, Any], seed: int, n_prototypes: int, max_steps: int | None) -> float:
    """Train a variant and assign the cells; return the seconds of training."""
    constants = dict(change)
    steps, training = constants.pop("steps", 1), constants.pop("training", {})
    if steps != 1:
        max_steps = round(steps * (max_steps or plan_budget(adata.n_obs, batch_size=256).n_steps))
    model = scproto.SCPROTO(adata, n_prototypes=n_prototypes, seed=seed, **constants)
    start = perf_counter()
    model.train(max_steps=max_steps, accelerator="cpu", enable_progress_bar=False, **training)
    seconds = perf_counter() - start
    scproto.tl.assign_metacells(adata, model)
    return seconds


def score(adata: AnnData) -> dict[str, float]:
    """Score embedding and metacells of the cells with a label."""
    adata = adata[adata.obs["cell_type"].notna().to_numpy()]
    labels, batches = adata.obs["cell_type"].astype(str), adata.obs["batch"].astype(str)
    scores = integration(adata.obsm["X_scproto"], adata.X, labels, batches)
    scores |= scproto.metrics.metacell_scores(adata.obs["metacell"].astype(str), labels, batches)
    return scores | {"scgraph": scores.get("corr_weighted", float("nan"))}


def add(summary: pd.DataFrame, path: Path) -> None:
    """Put rows of a summary into a file of such rows, in place of those that they do anew, with the commit."""
    summary = summary.assign(commit=tables.commit())
    if path.exists():
        summary = pd.concat([pd.read_csv(path, dtype={"max_steps": str}), summary])
    summary = summary.drop_duplicates(KEYS, keep="last")
    orders = {"data": list(dict.fromkeys(summary["data"])), "variant": list(dict.fromkeys(summary["variant"]))}
    summary = summary.sort_values(list(orders), key=lambda column: column.map(orders[column.name].index))
    tables.write_csv(path, summary, 3)


def markdown(summary: pd.DataFrame) -> str:
    """Return one table for each data set."""
    blocks = []
    for (data, n_prototypes, max_steps), part in summary.groupby(["data", "n_prototypes", "max_steps"], sort=False):
        steps = "" if max_steps == "auto" else f", {max_steps} steps"
        extra = [name for name in ("seeds", "commit") if name in part]
        rows = [
            [row["variant"], *(tables.spread(row, name) for name in SHOWN), *(str(row[name]) for name in extra)]
            for _, row in part.iterrows()
        ]
        table = tables.markdown(["variant", *SHOWN.values(), *extra], rows)
        blocks += [f"**{data}**, {n_prototypes} prototypes{steps}", table]
    return "\n\n".join(blocks)


def read(out: Path) -> pd.DataFrame:
    """Return the rows that are there, none without a file."""
    rows = pd.read_csv(out, dtype={"max_steps": str}) if out.exists() else pd.DataFrame(columns=COLUMNS)
    if set(rows.columns) != set(COLUMNS):
        sys.exit(f"{out} has other columns than this version writes: name another file.")
    return rows[rows["variant"].isin(VARIANTS)]


def compute(given: Namespace) -> None:
    """Fit and score what is missing."""
    files = find_files(given.files)
    numbers = numbers_of_files(given.n_prototypes, files)
    keys = [*KEYS, "seed"]
    done = set(read(given.out)[keys].astype(str).itertuples(index=False, name=None))
    for variant, data, seed in product(given.variants, files, given.seeds):
        row = (variant, data.stem, numbers[data.stem], given.max_steps or "auto", seed)
        if tuple(map(str, row)) in done:
            continue
        adata = cells(data, seed)
        seconds = fit(adata, VARIANTS[variant], seed, numbers[data.stem], given.max_steps)
        line = pd.DataFrame([dict(zip(keys, row, strict=True)) | score(adata) | {"seconds": seconds}])[COLUMNS]
        line.to_csv(given.out, mode="a", header=not given.out.exists(), index=False)
        cli.say(f"{variant}, {data.stem}, seed {seed}: {seconds:.0f} s")


def main() -> None:
    """Score every variant on every data set and seed."""
    parser = cli.parser(__doc__, "files", "--n-prototypes", "--max-steps", "--seeds", "--out", out=Path("ablation.csv"))
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS), metavar="NAME")
    parser.add_argument("--summary", type=Path, help="CSV of means and deviations to add to")
    parser.add_argument("--table", action="store_true", help="print the tables of the output and compute nothing")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if not given.table:
        with cli.one_sentence():
            compute(given)
    rows = read(given.out).sort_values("variant", key=lambda column: column.map(list(VARIANTS).index), kind="stable")
    summary = tables.summarise(rows, KEYS, SHOWN)
    if given.summary:
        add(summary, given.summary)
    print(markdown(summary))


if __name__ == "__main__":
    main()
