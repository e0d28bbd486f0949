"""Fill in the tables of the documentation from the results in ``docs/benchmarks``.

    python benchmarks/pages.py

A table stands between ``<!-- table: NAME -->`` and ``<!-- end of table -->``. ``NAME`` is a key of ``TABLES``; the name
of a data set may follow after a comma. The command replaces the text in between, and a test checks that it matches the
results. The results come from the other scripts in this folder: means and deviations or times, never data.
``--speed FOLDER`` copies the results of ``speed.py`` into ``docs/benchmarks``, without paths.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

HERE = Path(__file__).parent
sys.path += [str(HERE / folder) for folder in ("quality", "denoising", "reference", "speed")]

import ablation  # noqa: E402
import compare  # noqa: E402
import denoise  # noqa: E402
import ranks  # noqa: E402
import rare  # noqa: E402
import transfer  # noqa: E402
from lab import cli, tables  # noqa: E402
from lab.records import write_json  # noqa: E402
from measuring import tables as speed  # noqa: E402

DOCS = HERE.parent / "docs"
PAGES = [DOCS / name for name in ("ablation.md", "comparison.md", "denoising.md", "performance.md", "reference.md")]

TITLES = {
    "cellmix_6batches_1771genes": "cell lines",
    "kang_pbmc_ctrl_stim": "PBMC, stimulated or not",
    "pbmc_crossstudy_4batches": "PBMC, 4 batches",
    "blood": "demo",
    "pbmc_3tech_3types_2000": "PBMC, 10x v3",
}
"""What the pages call the data sets."""


def ceiling(results: pd.DataFrame) -> str:
    """Return a table with one row per data set, from the rows of ``ceiling.py``."""
    bounds = ["a metacell for each label", "pure and random"]
    rows = [
        [f"{TITLES[row['data']]}, K = {row['n_prototypes']}", *(f"{row[bound]:.3f}" for bound in bounds)]
        for _, row in results.iterrows()
    ]
    return tables.markdown(["data", *bounds], rows)


def frontier(results: pd.DataFrame) -> str:
    """Return a table with one row per number of rounds of alignment and one column per data set."""
    rows = []
    for rounds, part in results.groupby("rounds", sort=False):
        cells = [f"{row.total:.3f}, {row.purity:.3f}, {row.batch_entropy:.3f}" for row in part.itertuples()]
        if rounds == "default":
            cells = [f"{cell} ({taken})" for cell, taken in zip(cells, part["taken"], strict=True)]
        rows.append([rounds, *cells])
    first, *others = (TITLES[data] for data in results["data"].unique())
    return tables.markdown(["rounds", f"{first}: total, purity, entropy", *others], rows)


def markers(results: pd.DataFrame) -> str:
    """Return a table with one row per gene and three columns per data set, from the rows of ``markers.py``."""
    heads = [head for data in results["data"].unique() for head in (f"{TITLES[data]}: cells", "metacells", "lowest")]
    rows = []
    for (gene, kind), part in results.groupby(["gene", "type"], sort=False):
        cells = [gene, kind]
        for _, row in part.iterrows():
            cells += [f"{row['cells']:.3f}", tables.spread(row, "metacells"), f"{row['metacells_least']:.3f}"]
        rows.append(cells)
    return tables.markdown(["marker", "type", *heads], rows)


def denoising_in_short(results: pd.DataFrame) -> str:
    """Return the table of the data sets with the fewest seeds."""
    seeds = results.groupby("data")["seeds"].transform("max")
    return denoise.in_short(results[seeds == seeds.min()], TITLES)


def step(folder: Path, _: str) -> str:
    """Return the rows for a training step unchanged; an earlier commit measured them."""
    results = pd.read_csv(folder / "step.csv", dtype=str, keep_default_na=False)
    return tables.markdown(list(results), results.to_numpy())


def mapping(scenario: str) -> Callable[[pd.DataFrame], str]:
    """Make the table of a scenario from the rows of the ``means.csv`` of ``transfer.py``."""
    return lambda results: transfer.markdown(results[results["scenario"] == scenario])


def _of_csv(name: str, make: Callable[[pd.DataFrame], str]) -> Callable[[Path, str], str]:
    """Make a table of all rows of a CSV file, or of those of one data set."""

    def table(folder: Path, data: str) -> str:
        texts = dict.fromkeys(("max_steps", "rounds", "taken", "commit"), str)
        results = pd.read_csv(folder / f"{name}.csv", dtype=texts)
        results = results[results["data"] == data] if data else results
        if results.empty:
            raise ValueError(f"There are no results for the table {name}{data and ', '}{data}.")
        return make(results)

    return table


def _of_speed(part: str) -> Callable[[Path, str], str]:
    """Make the tables of a part of ``speed.py``."""

    def table(folder: Path, _: str) -> str:
        record = json.loads((folder / f"{part}.json").read_text(encoding="utf-8"))
        return f"{speed.described(record)}\n\n{speed.MAKERS[part](record['result'])}"

    return table


TABLES: dict[str, Callable[[Path, str], str]] = {
    "ablation": _of_csv("ablation", ablation.markdown),
    "schedule": _of_csv("schedule", ablation.markdown),
    "ceiling": _of_csv("ceiling", ceiling),
    "comparison": _of_csv("comparison", compare.markdown),
    "frontier": _of_csv("frontier", frontier),
    "markers": _of_csv("markers", markers),
    "ranks": _of_csv("ranks", ranks.texts),
    "rare": _of_csv("rare", rare.markdown),
    "reference: panel": _of_csv("reference", mapping("panel")),
    "reference: unknown": _of_csv("reference", mapping("unknown")),
    "reference: whole": _of_csv("reference", mapping("whole")),
    "denoising": _of_csv("denoising", denoise.markdown),
    "denoising in short": _of_csv("denoising", denoising_in_short),
    "step": step,
} | {part: _of_speed(part) for part in speed.MAKERS}
"""Functions that turn the results in a folder into Markdown tables, by name of the table."""


def fill(page: str, folder: Path = DOCS / "benchmarks") -> str:
    """Return the text of a page with its tables filled in from the results in a folder.

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
    """Return the record of a part of ``speed.py``, with only those details of machine and call that the page shows."""
    machine = {name: value for name, value in record["machine"].items() if name != "system"}
    data = record["arguments"]["data"]
    arguments = {"data": data and Path(data).name, "quick": record["arguments"]["quick"]}
    return record | {"machine": machine, "arguments": arguments}


def main() -> None:
    """Fill in the tables of all pages."""
    parser = cli.parser(__doc__)
    parser.add_argument("--speed", type=Path, help="folder with results of speed.py to copy into docs/benchmarks")
    given = parser.parse_args()
    for part in speed.MAKERS if given.speed else ():
        if (source := given.speed / f"{part}.json").exists():
            record = json.loads(source.read_text(encoding="utf-8"))
            write_json(DOCS / "benchmarks" / source.name, without_paths(record))
    for path in PAGES:
        path.write_text(fill(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
