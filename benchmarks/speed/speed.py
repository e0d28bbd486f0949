"""Measure how fast scproto is, and where its time goes.

    python benchmarks/speed/speed.py --out speed/ --parts stages whole throughput growth device

Without --data, the cells are simulated. A part whose JSON file is in the results folder is not measured again, so
repeat the command after an interruption. README.md describes what each part measures.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from lab import cli
from measuring.setup import CELLS, SIZES, TINY, MeasurementError, Setup
from measuring.tables import MAKERS, render


def main(arguments: list[str] | None = None) -> None:
    """Measure the missing parts, and write and print the tables."""
    given = _parse(arguments)
    setup = _setup(given)
    setup.folder.mkdir(parents=True, exist_ok=True)
    try:
        for part in given.parts:
            if given.again:
                for path in [setup.folder / f"{part}.json", *(setup.folder / "fits").glob(f"{part}_*.json")]:
                    path.unlink(missing_ok=True)
            if not is_done(part, setup):
                cli.say(f"{part} ...")
                if setup.data is None and part != "growth":
                    setup.simulate(setup.sizes["atlas"])
                setup.call(part, None, setup.folder / f"{part}.json")
    except MeasurementError as error:
        sys.exit(str(error))
    finally:
        (setup.folder / "speed.md").write_text(render(setup.folder))
    print(render(setup.folder))


def is_done(part: str, setup: Setup) -> bool:
    """Whether a part has results for this setup. ``growth`` with other sizes is not done, but keeps its finished fits.

    Raises
    ------
    MeasurementError
        If there are results with other data or threads, or of a smoke test: mixing them would mislead.
    """
    path = setup.folder / f"{part}.json"
    if not path.exists():
        return False
    then, now = json.loads(path.read_text())["arguments"], asdict(setup)
    names = ["threads", "quick"] if part == "growth" else ["threads", "quick", "data", "batch_key"]
    if other := [name for name in names if then[name] != now[name]]:
        raise MeasurementError(f"{path} was measured with different {', '.join(other)}: use --again or another --out")
    same = then["sizes"]["growth"] == now["sizes"]["growth"] and then["growth_repeats"] == now["growth_repeats"]
    return part != "growth" or same


def _setup(given: Namespace) -> Setup:
    growth = SIZES["growth"] | {"cells": [n for n in CELLS if n <= given.max_cells]}
    sizes = TINY if given.quick else SIZES | {"growth": growth}
    names = ("batch_key", "threads", "repeats", "growth_repeats", "quick")
    same = {name: getattr(given, name) for name in names}
    return Setup(str(given.out), str(given.data) if given.data else None, sizes=sizes, **same)


def _parse(arguments: list[str] | None) -> Namespace:
    parser = cli.parser(__doc__, "--out", "--threads", "--again", out=Path("speed"))
    add, names = parser.add_argument, list(MAKERS)
    add("--parts", nargs="+", default=names, choices=names, metavar="PART", help=", ".join(names))
    add("--data", type=Path, help=".h5ad file with raw counts in X (default: simulated cells)")
    add("--batch-key", nargs="+", default=["batch"], help="obs columns that hold the batch")
    add("--repeats", type=int, default=5, help="number of rounds per measurement")
    add("--growth-repeats", type=int, default=1, help="number of fits per size in growth")
    add("--max-cells", type=int, default=80_000, help=f"largest number of cells in growth, at most {CELLS[-1]:,}")
    add("--quick", action="store_true", help="smoke test with tiny sizes; its figures mean nothing")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
