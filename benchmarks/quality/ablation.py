"""Change one setting of scproto at a time, and score the result.

    python benchmarks/quality/ablation.py data/*.h5ad --n-prototypes 60 pbmc=150 --seeds 0 1 2 --out ablation.csv

Each file needs raw counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``. Rows that the output already
contains are not computed again. The script prints tables with mean and standard deviation over the seeds. ``--summary``
also writes these to a CSV file, where they replace older rows of the same variants. ``benchmarks/pages.py`` makes the
tables of the documentation from that file.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from anndata import AnnData

sys.path.append(str(Path(__file__).parents[1]))

from lab import cli, tables
from lab.data import find_files, fit, load, numbers_of_files
from lab.records import commit
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
"""Changes by name of the variant: arguments of :class:`scproto.SCPROTO`; in ``training``, arguments of its ``train``;
in ``steps``, the number of steps relative to the default."""

KEYS = ["variant", "data", "n_prototypes", "max_steps"]
"""Columns that identify a row of a summary."""

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
"""Scores and their headings in the tables."""


def fitted(adata: AnnData, change: dict[str, Any], seed: int, n_prototypes: int, max_steps: int | None) -> AnnData:
    """Train a variant, assign the cells and return them."""
    constants = dict(change)
    steps = constants.pop("steps", 1)
    if steps != 1:
        max_steps = round(steps * (max_steps or plan_budget(adata.n_obs, n_prototypes, 256).n_steps))
    model = fit(adata, max_steps, n_prototypes=n_prototypes, seed=seed, **constants)
    scproto.tl.assign_metacells(adata, model)
    return adata


def score(adata: AnnData) -> dict[str, float]:
    """Score the embedding and the metacells, using the cells with a label."""
    adata = adata[adata.obs["cell_type"].notna().to_numpy()]
    labels, batches = adata.obs["cell_type"].astype(str), adata.obs["batch"].astype(str)
    scores = integration(adata.obsm["X_scproto"], adata.X, labels, batches)
    scores |= scproto.metrics.metacell_scores(adata.obs["metacell"].astype(str), labels, batches)
    return scores | {"scgraph": scores.get("corr_weighted", float("nan"))}


def add(summary: pd.DataFrame, path: Path) -> None:
    """Add the rows of a summary, with the commit, to a file, where they replace older rows of the same variants."""
    summary = summary.assign(commit=commit())
    if path.exists():
        summary = pd.concat([pd.read_csv(path, dtype={"max_steps": str, "commit": str}), summary])
    summary = summary.drop_duplicates(KEYS, keep="last")
    orders = {"data": list(dict.fromkeys(summary["data"])), "variant": list(dict.fromkeys(summary["variant"]))}
    summary = summary.sort_values(list(orders), key=lambda column: column.map(orders[column.name].index))
    tables.write_csv(path, summary, 3)


def markdown(summary: pd.DataFrame) -> str:
    """Return one table per data set."""
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


def rows_of(given: Namespace) -> pd.DataFrame:
    """Fit and score the missing variants, and return all rows."""
    rows = pd.read_csv(given.out, dtype={"max_steps": str}).to_dict("records") if given.out.exists() else []
    keys = [*KEYS, "seed"]
    done = {tuple(row[key] for key in keys) for row in rows}
    files = find_files(given.files)
    numbers = numbers_of_files(given.n_prototypes, files)
    for file, seed in product(files, given.seeds):
        about = (file.stem, numbers[file.stem], str(given.max_steps or "auto"), seed)
        missing = [variant for variant in given.variants if (variant, *about) not in done]
        if missing:
            adata = load(file, seed=seed)
            adata = adata[:, adata.var["scproto_gene"].to_numpy()].copy()
        for variant in missing:
            scores = score(fitted(adata, VARIANTS[variant], seed, numbers[file.stem], given.max_steps))
            rows.append(dict(zip(keys, (variant, *about), strict=True)) | {name: scores[name] for name in SHOWN})
            tables.write_csv(given.out, pd.DataFrame(rows))
            cli.say(f"{variant}, {file.stem}, seed {seed}")
    return pd.DataFrame(rows)


def main() -> None:
    """Score every variant on every data set and seed."""
    parser = cli.parser(__doc__, "files", "--n-prototypes", "--max-steps", "--seeds", "--out", out=Path("ablation.csv"))
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS), metavar="NAME")
    parser.add_argument("--summary", type=Path, help="CSV file to which to add means and standard deviations")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with cli.one_sentence():
        summary = tables.summarise(rows_of(given), KEYS, SHOWN)
    if given.summary:
        add(summary, given.summary)
    print(markdown(summary))


if __name__ == "__main__":
    main()
