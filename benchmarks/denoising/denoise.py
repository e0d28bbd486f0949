"""Compare scproto with other methods in denoising, by molecules held out.

    python benchmarks/denoising/denoise.py DATA --out results/ --seeds 0 1 2

DATA are .h5ad files, or folders of them, with raw counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``; the
largest batch is taken. What is in the folder of the results already is not computed again, so a call that broke off, or
one with more seeds, goes on from there. README.md tells what is computed.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import product
from pathlib import Path

from protocol import inputs, tables  # first: it finds benchmarks/quality
from protocol.methods import METHODS
from protocol.runs import Run, compute, records

from comparison.environments import PYTHON, Environments  # isort: skip
from comparison.inputs import find_files  # isort: skip
from comparison.runs import Limits  # isort: skip

from scproto._errors import InputError
from scproto._files import atomic_path
from scproto._versions import library_versions


def main() -> None:
    """Run what is missing and write the tables."""
    arguments = _parse()
    environments = Environments(arguments.environments or arguments.out / "environments", arguments.python)
    limits = Limits(arguments.time_limit, arguments.threads)
    try:
        for file, seed in product(find_files(arguments.data), arguments.seeds):
            split = inputs.split(file, arguments.out / "inputs", seed, arguments.n_genes)
            for run in [Run(split, method) for method in arguments.methods]:
                if arguments.again or not run.is_done(arguments.out):
                    record = compute(run, arguments.out, environments, limits)
                    _say(f"{split.name}, {run.method}, seed {seed}: {record['status']}, {record['seconds']} s")
                    write(arguments.out)
    except InputError as error:
        sys.exit(str(error))
    write(arguments.out)
    print(tables.markdown(tables.summarise(tables.collect(records(arguments.out)))))


def write(out: Path) -> None:
    """Write all tables and plots of what is in the folder of the results."""
    table = tables.collect(records(out))
    summary = tables.summarise(table)
    versions = {record["method"]: record["versions"] for record in records(out) if record["versions"]}
    rows = json.loads(table.to_json(orient="records"))
    written = {"scored_with": library_versions(), "versions": versions, "rows": rows}
    for name, part in {"scores.csv": table, "summary.csv": summary}.items():
        with atomic_path(out / name) as path:
            part.to_csv(path, index=False)
    with atomic_path(out / "scores.json") as path:
        path.write_text(json.dumps(written, indent=2) + "\n")
    tables.draw(summary, out / "plots")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path, help="folders or .h5ad files")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder of the results")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS, metavar="METHOD")
    parser.add_argument("--n-genes", type=int, default=2000, help="highly variable genes, the same for all methods")
    parser.add_argument("--time-limit", type=float, default=1800.0, help="seconds for one run")
    parser.add_argument("--threads", type=int, default=1, help="threads of every method")
    parser.add_argument("--environments", type=Path, help="folder of the peers' environments; else within --out")
    parser.add_argument("--python", help=f"Python to make them with; else {PYTHON} where there is one")
    parser.add_argument("--again", action="store_true", help="run what is there already, too")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    return arguments


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
