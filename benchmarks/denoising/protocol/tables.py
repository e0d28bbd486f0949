"""Tables of the results, and a plot."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scproto._files import atomic_path

from .methods import METHODS

KEYS = ["data", "n_genes", "method", "table"]

READ = {
    "mse": ("MSE", 4),
    "poisson": ("Poisson", 5),
    "poisson_swapped": ("Poisson, swapped", 4),
    "auroc": ("marker AUROC", 3),
    "decoy_correlation": ("decoys: correlation", 3),
    "decoy_de": ("decoys: DE", 2),
    "permuted_de_mean": ("permuted: DE", 3),
    "permuted_de_most": ("most", 2),
}
"""Columns of the table to read: heading and decimals."""

ERRORS = ("mse", "poisson", "poisson_swapped")
"""Columns that are shown with their standard deviation."""


def collect(records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Return one row for each denoised table of each run, and one for a run that failed."""
    rows = []
    for record in records:
        known = {name: record[name] for name in ("data", "n_genes", "method", "seed", "status", "seconds")}
        scores = record["scores"] or {"": {}}
        rows += [known | {"table": name} | values for name, values in scores.items()]
    table = pd.DataFrame(rows)
    order = {name: i for i, name in enumerate(METHODS)}
    keys = ["data", "n_genes", "method", "seed"]
    return table.sort_values(
        keys, key=lambda column: column.map(order) if column.name == "method" else column, kind="stable"
    ).reset_index(drop=True)


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard deviation over the seeds, one row a data set and denoised table."""
    numbers = [name for name in table.select_dtypes("number") if name not in ("seed", "n_genes")]
    groups = table.groupby(KEYS, sort=False, dropna=False)
    parts = [groups[numbers].mean().add_suffix("_mean"), groups[numbers].std().add_suffix("_sd")]
    summary = pd.concat(parts, axis=1)[[f"{name}_{part}" for name in numbers for part in ("mean", "sd")]]
    summary.insert(0, "n_seeds", groups["seed"].nunique())
    summary.insert(1, "status", groups["status"].agg(lambda values: "; ".join(dict.fromkeys(values))))
    return summary.reset_index()


def markdown(summary: pd.DataFrame) -> str:
    """Return the table to read, with the lowest error and loss of each data set in bold."""
    lines = []
    for (data, n_genes), part in summary.groupby(["data", "n_genes"], sort=False):
        shown = [name for name in READ if f"{name}_mean" in part and part[f"{name}_mean"].notna().any()]
        heads = ["method", *(READ[name][0] for name in shown)]
        lines += [f"**{data}**, {n_genes} genes at most", "", _line(heads), _line(["---"] * len(heads))]
        best = {name: part[f"{name}_mean"].min() for name in shown if name in ("mse", "poisson")}
        for _, row in part.iterrows():
            title = METHODS[row["method"]].title
            name = f"{title}: {row['table']}" if row["table"] else f"{title}: {row['status']}"
            if row["n_seeds"] < part["n_seeds"].max():
                name += f" ({row['n_seeds']} seed{'s' * (row['n_seeds'] > 1)})"
            lines.append(_line([name, *(_cell(row, column, best.get(column)) for column in shown)]))
        lines.append("")
    return "\n".join(lines)


def _cell(row: pd.Series, name: str, best: float | None) -> str:
    mean, sd = row[f"{name}_mean"], row[f"{name}_sd"]
    if np.isnan(mean):
        return ""
    digits = READ[name][1]
    text = f"{mean:.{digits}f}" + (f" ± {sd:.{digits}f}" if name in ERRORS and not np.isnan(sd) else "")
    return f"**{text}**" if mean == best else text


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def draw(summary: pd.DataFrame, folder: Path) -> None:
    """Draw the error against the Poisson loss of each data set into a PNG file; scproto in another colour."""
    from matplotlib import pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    for (data, n_genes), part in summary.groupby(["data", "n_genes"], sort=False):
        part = part[part["table"].ne("")]
        figure, axes = plt.subplots(1, 2, figsize=(13, 0.3 * len(part) + 1.2), layout="constrained", sharey=True)
        names = [
            f"{METHODS[method].title}: {table}" for method, table in zip(part["method"], part["table"], strict=True)
        ]
        colors = np.where(part["method"] == "scproto", "#D55E00", "#0072B2")
        for axis, (score, title) in zip(
            axes, {"mse": "MSE of log1p CP10k", "poisson": "Poisson loss"}.items(), strict=True
        ):
            axis.barh(names, part[f"{score}_mean"], xerr=part[f"{score}_sd"].fillna(0), color=colors)
            axis.set(xlabel=f"{title}, lower is better")
            axis.spines[["top", "right"]].set_visible(False)
        axes[0].invert_yaxis()
        figure.suptitle(f"{data}: held-out molecules of its largest batch")
        with atomic_path(folder / f"{data}_g{n_genes}.png") as path:
            figure.savefig(path, dpi=120)
        plt.close(figure)
