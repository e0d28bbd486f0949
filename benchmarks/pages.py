"""Make the tables of the documentation from the results in ``docs/benchmarks``.

    python benchmarks/pages.py

A table stands between ``<!-- table: NAME -->`` and ``<!-- end of table -->``, where ``NAME`` is one of ``TABLES``, and
after a comma the data set if the table is of one. What is between is written anew; a test says whether it is as the
results have it. The results are those that the scripts in the folders beside this file write, means and deviations or
times, never data. ``--speed FOLDER`` takes over what ``speed.py`` has measured, without the paths.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
sys.path += [str(HERE / folder) for folder in ("quality", "denoising", "speed")]

from ablation import tables as ablation  # noqa: E402
from measuring import tables as speed  # noqa: E402
from protocol import tables as denoised  # noqa: E402

DOCS = HERE.parent / "docs"
PAGES = [DOCS / name for name in ("ablation.md", "comparison.md", "denoising.md", "performance.md")]

TITLES = {
    "cellmix_6batches_1771genes": "cell lines",
    "kang_pbmc_ctrl_stim": "PBMC, stimulated or not",
    "pbmc_crossstudy_4batches": "PBMC, 4 batches",
    "blood": "demo",
    "pbmc_3tech_3types_2000": "PBMC, 10x v3",
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


def denoising(results: pd.DataFrame) -> str:
    """Methods by row; rows of ``summary.csv`` of ``denoise.py`` of one data set."""
    return denoised.markdown(results).split("\n", 2)[2].strip()


def denoising_in_short(results: pd.DataFrame) -> str:
    """The chosen way of scproto and the other methods by row; data sets that a few seeds were run on by column."""
    seeds = results.groupby("data")["n_seeds"].transform("max")
    shown = (results["method"] != "scproto") | results["table"].str.startswith("chosen")
    few = results[(seeds == seeds.min()) & shown].set_index(["data", "method", "table"])
    scores = {"mse": ("MSE", 4), "poisson": ("Poisson", 5)}
    columns = [(data, score) for data in dict.fromkeys(few.index.get_level_values("data")) for score in scores]
    rows = []
    for method, name in dict.fromkeys(index[1:] for index in few.index):
        cells = [f"{denoised.METHODS[method].title}: {name}"]
        for data, score in columns:
            values = few.loc[data][f"{score}_mean"]
            cell = f"{values[method, name]:.{scores[score][1]}f}"
            cells.append(f"**{cell}**" if values[method, name] == values.min() else cell)
        rows.append(cells)
    return markdown(["method", *(f"{TITLES[data]}: {scores[score][0]}" for data, score in columns)], rows)


def _of_csv(name: str, make: Callable[[pd.DataFrame], str]) -> Callable[[Path, str], str]:
    """Table of all rows of a CSV, or of those of a data set."""

    def table(folder: Path, data: str) -> str:
        results = pd.read_csv(folder / f"{name}.csv", dtype={"max_steps": str, "rounds": str, "taken": str})
        results = results[results["data"] == data] if data else results
        if results.empty:
            raise ValueError(f"There are no results for the table {name}, {data}.")
        return make(results)

    return table


def _of_speed(part: str) -> Callable[[Path, str], str]:
    """Tables of a part of ``speed.py``."""

    def table(folder: Path, _: str) -> str:
        record = json.loads((folder / f"{part}.json").read_text(encoding="utf-8"))
        return f"{speed.described(record)}\n\n{speed.MAKERS[part](record['result'])}"

    return table


TABLES: dict[str, Callable[[Path, str], str]] = {
    "ablation": _of_csv("ablation", lambda results: ablation(results).rstrip()),
    "schedule": _of_csv("schedule", lambda results: ablation(results).rstrip()),
    "ceiling": _of_csv("ceiling", ceiling),
    "comparison": _of_csv("comparison", comparison),
    "frontier": _of_csv("frontier", frontier),
    "markers": _of_csv("markers", markers),
    "denoising": _of_csv("denoising", denoising),
    "denoising in short": _of_csv("denoising", denoising_in_short),
} | {part: _of_speed(part) for part in speed.MAKERS}
"""What makes Markdown of the results in a folder."""


def fill(page: str, folder: Path = DOCS / "benchmarks") -> str:
    """Return the text of a page with its tables made from the results in a folder.

    Raises
    ------
    ValueError
        If a table has no end, or no results for its data set.
    """

    def made(found: re.Match[str]) -> str:
        name, _, data = found["name"].partition(", ")
        if "<!-- table" in found["old"]:
            raise ValueError(f"Table {found['name']} has no end.")
        return f"<!-- table: {found['name']} -->\n\n{TABLES[name](folder, data)}\n\n<!-- end of table -->"

    return re.sub(r"<!-- table: (?P<name>.*?) -->(?P<old>.*?)<!-- end of table -->", made, page, flags=re.DOTALL)


def without_paths(record: dict[str, Any]) -> dict[str, Any]:
    """Return what a part of ``speed.py`` found, with no more of machine and call than the page tells."""
    machine = {name: value for name, value in record["machine"].items() if name != "system"}
    data = record["arguments"]["data"]
    arguments = {"data": data and Path(data).name, "quick": record["arguments"]["quick"]}
    return {"task": record["task"], "machine": machine, "arguments": arguments, "result": record["result"]}


def main() -> None:
    """Write the tables of all pages anew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", type=Path, help="folder of the results of speed.py to take over")
    given = parser.parse_args()
    for part in speed.MAKERS if given.speed else ():
        if (source := given.speed / f"{part}.json").exists():
            record = without_paths(json.loads(source.read_text(encoding="utf-8")))
            (DOCS / "benchmarks" / source.name).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for path in PAGES:
        path.write_text(fill(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
