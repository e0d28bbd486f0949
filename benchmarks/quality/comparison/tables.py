"""Tables of the results: every run, means over the seeds, and the lines to read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from .methods import METHODS
from .processes import OK
from .runs import RECORD, folders
from .scores import SCORES

KEYS = ["data", "method", "n_prototypes"]

FIRST = [*KEYS, "seed", "status", "n_metacells", "assigned", "total", "bio", "batch", "purity", "balanced_purity"]
FIRST += [
    "mean_label_recall",
    "recall_of_rarest",
    "batch_entropy",
    "size_cv",
    "seconds",
    "cpu_seconds",
    "peak_memory_mib",
    "version",
]
"""Columns that come first; the others follow in the order in which they are found."""

READ = {
    "total": "total",
    "bio": "bio",
    "batch": "batch",
    "n_metacells": "metacells",
    "purity": "purity",
    "balanced_purity": "balanced",
    "coverage": "coverage",
    "mean_label_recall": "recall",
    "batch_entropy": "batch entropy",
    "size_cv": "size CV",
    "dubious_rate_within_batch": "dubious",
    "corr_weighted": "scGraph",
    "seconds": "seconds",
    "cpu_seconds": "CPU seconds",
    "peak_memory_mib": "MiB",
}
"""Columns of the table to read, and their headings."""


def collect(out: Path) -> pd.DataFrame:
    """Return one row for each run in the folder of the results, whatever came of it."""
    rows = []
    for folder in folders(out):
        record = json.loads((folder / RECORD).read_text())
        scores = folder / SCORES
        del record["versions"], record["digest"]
        rows.append(record | (json.loads(scores.read_text()) if scores.exists() else {}))  # its status counts more
    table = pd.DataFrame(rows).reindex(columns=_columns(rows))
    order = {name: i for i, name in enumerate(METHODS)}
    return table.sort_values(
        ["data", "n_prototypes", "method", "seed"],
        key=lambda column: column.map(order) if column.name == "method" else column,
        ignore_index=True,
    )


def versions(out: Path) -> dict[str, dict[str, str]]:
    """Return the libraries of the last run that went well of each method."""
    found = {}
    for folder in folders(out):
        record = json.loads((folder / RECORD).read_text())
        if record["versions"]:
            found[record["method"]] = record["versions"]
    return found


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard deviation over the seeds of all scores, one row a data set, method and number.

    A method without a score keeps its row, with its status.
    """
    scored = table.drop(columns=["seed", "threads", "time_limit", "n_cells", "n_genes"], errors="ignore")
    numbers = [name for name in scored.select_dtypes("number") if name not in KEYS]
    well = scored[numbers].where(table["status"] == OK)
    groups = [table[key] for key in KEYS]
    mean, sd = well.groupby(groups, sort=False).mean(), well.groupby(groups, sort=False).std()
    summary = pd.concat([mean.add_suffix("_mean"), sd.add_suffix("_sd")], axis=1)
    summary = summary[[f"{name}_{part}" for name in numbers for part in ("mean", "sd")]]
    status = table.groupby(KEYS, sort=False)["status"]
    summary.insert(0, "n_seeds", status.agg(lambda values: int((values == OK).sum())))
    summary.insert(1, "status", status.agg(lambda values: "; ".join(dict.fromkeys(values))))
    return summary.reset_index()


def markdown(summary: pd.DataFrame) -> str:
    """Return the table to read: mean ± standard deviation, methods by row."""
    lines = []
    for (data, number), part in summary.groupby(["data", "n_prototypes"], sort=False):
        heads = ["method", *(head for name, head in READ.items() if f"{name}_mean" in summary), "status"]
        lines += [f"**{data}**, {number} metacells asked for", "", _line(heads), _line(["---"] * len(heads))]
        for _, row in part.iterrows():
            cells = [_spread(row, name) for name in READ if f"{name}_mean" in summary]
            status = row["status"] if row["status"] != OK else f"{row['n_seeds']} seed(s)"
            lines.append(_line([METHODS[row["method"]].title, *cells, status.replace("|", "/")]))
        lines.append("")
    return "\n".join(lines)


def _columns(rows: list[dict[str, object]]) -> list[str]:
    found = list(dict.fromkeys(name for row in rows for name in row))
    return [name for name in FIRST if name in found] + [name for name in found if name not in FIRST]


def _spread(row: pd.Series, name: str) -> str:
    mean, sd = row[f"{name}_mean"], row[f"{name}_sd"]
    if np.isnan(mean):
        return ""
    digits = 0 if name in ("n_metacells", "seconds", "cpu_seconds", "peak_memory_mib") else 3
    return f"{mean:,.{digits}f}" + ("" if np.isnan(sd) else f" ± {sd:,.{digits}f}")


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
