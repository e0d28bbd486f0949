"""Make the tables of the documentation from the results in ``docs/benchmarks``.

    python benchmarks/quality/pages.py

A table stands between ``<!-- table: NAME -->`` and ``<!-- end of table -->``, where ``NAME`` is one of ``TABLES``, and
after a comma the data set if the table is of one. What is between is written anew; a test says whether it is as the
results have it. The results are those that the scripts in this folder write: means and deviations, never data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from ablation import tables as ablation

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / name for name in ("ablation.md", "comparison.md")]

TITLES = {
    "cellmix_6batches_1771genes": "cell lines",
    "kang_pbmc_ctrl_stim": "PBMC, stimulated or not",
    "pbmc_crossstudy_4batches": "PBMC, 4 batches",
    "blood": "demo",
}
"""What the pages call the data sets."""

COMPARED = {
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
"""Scores of the comparison: heading and decimal places."""


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, *rows)]
    lines.insert(1, "|" + "---|" * len(heads))
    return "\n".join(lines)


def spread(row: pd.Series, name: str, digits: int) -> str:
    """Mean ± standard deviation, without the latter after one seed; empty if there is no mean."""
    mean, sd = row[f"{name}_mean"], row[f"{name}_sd"]
    return "" if np.isnan(mean) else f"{mean:.{digits}f}" + ("" if np.isnan(sd) else f" ± {sd:.{digits}f}")


def comparison(results: pd.DataFrame) -> str:
    """Methods by row; rows of ``summary.csv`` of ``compare.py``."""
    rows = []
    for _, row in results.iterrows():
        name = "**scproto**" if row["method"] == "scproto" else row["method"]
        rows.append([name, *(spread(row, score, digits) for score, (_, digits) in COMPARED.items())])
    return markdown(["method", *(head for head, _ in COMPARED.values())], rows)


def ceiling(results: pd.DataFrame) -> str:
    """Data sets by row; rows of ``ceiling.py``."""
    bounds = ["a metacell for each label", "pure and random"]
    rows = [
        [f"{TITLES[row['data']]}, K = {row['n_prototypes']}", *(f"{row[bound]:.3f}" for bound in bounds)]
        for _, row in results.iterrows()
    ]
    return markdown(["data", *bounds], rows)


def frontier(results: pd.DataFrame) -> str:
    """Rounds of alignment by row, data sets by column; rows of ``frontier.py``, or their means over the seeds."""
    shown = ["total", "purity", "batch_entropy"]
    groups = results.groupby(["rounds", "data"], sort=False)
    means, taken = groups[shown].mean(), groups["taken"].agg(lambda column: " or ".join(dict.fromkeys(column)))
    data = list(dict.fromkeys(results["data"]))
    rows = []
    for rounds in dict.fromkeys(results["rounds"]):
        cells = [", ".join(f"{value:.3f}" for value in means.loc[(rounds, one)]) for one in data]
        if rounds == "default":
            cells = [f"{cell} ({taken[rounds, one]})" for cell, one in zip(cells, data, strict=True)]
        rows.append([rounds, *cells])
    first, *others = (TITLES[one] for one in data)
    return markdown(["rounds", f"{first}: total, purity, entropy", *others], rows)


def markers(results: pd.DataFrame) -> str:
    """Genes by row, data sets by column; rows of ``markers.py``."""
    data = list(dict.fromkeys(results["data"]))
    heads = [head for one in data for head in (f"{TITLES[one]}: cells", "metacells", "least")]
    rows = []
    for (gene, kind), part in results.groupby(["gene", "type"], sort=False):
        found = part.set_index("data")
        cells = [gene, kind]
        for one in data:
            row = found.loc[one]
            cells += [f"{row['cells']:.3f}", spread(row, "metacells", 3), f"{row['metacells_least']:.3f}"]
        rows.append(cells)
    return markdown(["marker", "of", *heads], rows)


TABLES: dict[str, Callable[[pd.DataFrame], str]] = {
    "ablation": lambda results: ablation(results).rstrip(),
    "ceiling": ceiling,
    "comparison": comparison,
    "frontier": frontier,
    "markers": markers,
}
"""What makes Markdown of ``docs/benchmarks/<name>.csv``."""


def fill(page: str, folder: Path = DOCS / "benchmarks") -> str:
    """Return the text of a page with its tables made from the results in a folder.

    Raises
    ------
    ValueError
        If a table has no end, or no results.
    """

    def made(found: re.Match[str]) -> str:
        name, _, data = found["name"].partition(", ")
        results = pd.read_csv(folder / f"{name}.csv", dtype={"max_steps": str, "rounds": str, "taken": str})
        if data:
            results = results[results["data"] == data]
        if "<!-- table" in found["old"] or results.empty:
            raise ValueError(f"Table {found['name']}: it has no end, or there are no results.")
        return f"<!-- table: {found['name']} -->\n\n{TABLES[name](results)}\n\n<!-- end of table -->"

    return re.sub(r"<!-- table: (?P<name>.*?) -->(?P<old>.*?)<!-- end of table -->", made, page, flags=re.DOTALL)


def main() -> None:
    """Write the tables of all pages anew."""
    for path in PAGES:
        path.write_text(fill(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
