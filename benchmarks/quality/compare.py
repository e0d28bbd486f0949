"""Compare scproto with other methods on labelled data sets: quality, time and memory.

    python benchmarks/quality/compare.py DATA_FOLDER --out results/ --seeds 0 1 2 --n-prototypes 60

DATA_FOLDER holds .h5ad files with raw counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``. What is in the
folder of the results already is not computed again, so a call that broke off, or one with more seeds, goes on from
there. README.md tells what each method does.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from itertools import product
from pathlib import Path

from comparison import plots, tables
from comparison.environments import PYTHON, Environments
from comparison.inputs import find_files, numbers_of_metacells, prepare
from comparison.methods import METHODS
from comparison.runs import Limits, Run, compute, is_done
from comparison.scores import scores_of

from scproto._errors import InputError
from scproto._files import atomic_path
from scproto._versions import library_versions


def main() -> None:
    """Run what is missing, score it and write the tables."""
    arguments = _parse()
    try:
        data = [prepare(file, arguments.out / "inputs") for file in find_files(arguments.data)]
        numbers = numbers_of_metacells(arguments.n_prototypes, data)
    except InputError as error:
        sys.exit(str(error))
    environments = Environments(arguments.environments or arguments.out / "environments", arguments.python)
    limits = Limits(arguments.time_limit, arguments.threads)
    for one, seed, method in product(data, arguments.seeds, arguments.methods):
        run = Run(one, method, numbers[one.name], seed)
        if arguments.again or not is_done(run, arguments.out):
            record = compute(run, arguments.out, environments, limits)
            _say(f"{one.name}, {method}, seed {seed}: {record['status']}, {record['seconds']} s")
        scores_of(run, arguments.out, again=arguments.rescore)
        write(arguments.out)
    print(tables.markdown(tables.summarise(tables.collect(arguments.out))))


def write(out: Path) -> None:
    """Write all tables and plots of what is in the folder of the results."""
    table = tables.collect(out)
    summary = tables.summarise(table)
    written = {
        "machine": {"system": platform.platform(), "processor": platform.machine()},
        "scored_with": library_versions(),
        "versions": tables.versions(out),
        "rows": json.loads(table.to_json(orient="records")),
    }
    with atomic_path(out / "scores.csv") as path:
        table.to_csv(path, index=False)
    with atomic_path(out / "summary.csv") as path:
        summary.to_csv(path, index=False)
    with atomic_path(out / "scores.json") as path:
        path.write_text(json.dumps(written, indent=2) + "\n")
    plots.draw(summary, out / "plots")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path, help="folders or .h5ad files")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder of the results")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS, metavar="METHOD")
    parser.add_argument(
        "--n-prototypes",
        nargs="+",
        default=[],
        metavar="K|NAME=K",
        help="metacells: for all data sets, for one by the name of its file, or both; else one for 75 cells",
    )
    parser.add_argument("--time-limit", type=float, default=1800.0, help="seconds for one run")
    parser.add_argument("--threads", type=int, default=1, help="threads of every method")
    parser.add_argument("--environments", type=Path, help="folder of the peers' environments; else within --out")
    parser.add_argument("--python", help=f"Python to make them with; else {PYTHON} where there is one")
    parser.add_argument("--again", action="store_true", help="run what is there already, too")
    parser.add_argument("--rescore", action="store_true", help="score what is there already, too")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    return arguments


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
