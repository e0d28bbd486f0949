"""Tables: means over the seeds, Markdown, CSV and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from scproto._files import atomic_path
from scproto._versions import library_versions

from .records import commit, write_json


def summarise(rows: pd.DataFrame, keys: list[str], scores: Iterable[str]) -> pd.DataFrame:
    """Return the number of seeds, and the mean and standard deviation of each score over them, one row per key."""
    groups = rows.groupby(keys, sort=False, dropna=False)
    parts = {"seeds": groups.size()}
    for name in scores:
        parts |= {f"{name}_mean": groups[name].mean(), f"{name}_sd": groups[name].std()}
    return pd.DataFrame(parts).reset_index()


def spread(row: Mapping[str, Any] | pd.Series, name: str, digits: int = 3) -> str:
    """Return mean ± standard deviation, only the mean after one seed, or nothing if there is no mean."""
    mean, sd = row.get(f"{name}_mean"), row.get(f"{name}_sd")
    return "" if pd.isna(mean) else f"{mean:.{digits}f}" + ("" if pd.isna(sd) else f" ± {sd:.{digits}f}")


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in which all columns except the first hold numbers; empty cells complete short rows."""
    filled = [[*row, *[""] * (len(heads) - len(row))] for row in rows]
    rule = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *filled))


def write_csv(path: Path, table: pd.DataFrame, decimals: int | None = None) -> None:
    """Write a table to a CSV file; an interruption leaves no partial file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, float_format=None if decimals is None else f"%.{decimals}f")


def write_results(out: Path, rows: pd.DataFrame, summary: pd.DataFrame, versions: Mapping[str, Any]) -> None:
    """Write ``scores.csv`` and ``scores.json`` with one row per result, and ``summary.csv`` with their means."""
    write_csv(out / "scores.csv", rows)
    write_csv(out / "summary.csv", summary.assign(commit=commit()))
    content = {"scored_with": library_versions(), "commit": commit(), "versions": versions}
    write_json(out / "scores.json", content | {"rows": json.loads(rows.to_json(orient="records"))})
