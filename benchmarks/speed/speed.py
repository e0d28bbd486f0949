"""Measure how fast scproto is, and where its time goes.

    python benchmarks/speed/speed.py --out speed/ --parts stages whole throughput step growth device

Without --data the cells are simulated. A part whose JSON is in the folder of the results is not measured again, so a
call that broke off goes on from there. README.md tells what each part measures.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from measuring.processes import MeasurementError, call
from measuring.setup import CELLS, TINY, Setup, Sizes
from measuring.tables import MAKERS, render

from scproto._files import atomic_path


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing, and write and print the tables."""
    given = _parse(arguments)
    setup = _setup(given)
    try:
        for part in given.parts:
            if given.again:
                _forget(setup.folder, part)
            if not is_done(part, setup):
                _say(f"{part} ...")
                measure(part, setup)
    except MeasurementError as error:
        sys.exit(str(error))
    finally:
        _write(setup.folder)
    print(render(setup.folder))


def is_done(part: str, setup: Setup) -> bool:
    """Whether a part is there as it is asked for. A growth with other sizes is not, but keeps those that are there.

    Raises
    ------
    MeasurementError
        If it is there with other data or threads, or as a smoke test: tables of both would mislead.
    """
    path = setup.folder / f"{part}.json"
    if not path.exists():
        return False
    then, now = json.loads(path.read_text())["arguments"], json.loads(json.dumps(setup.to_json()))
    names = ["threads", "quick"] if part == "growth" else ["threads", "quick", "data", "batch_key"]
    if other := [name for name in names if then[name] != now[name]]:
        raise MeasurementError(f"{path} was measured with other {', '.join(other)}: use --again or another --out")
    alike = then["sizes"]["growth"] == now["sizes"]["growth"] and then["growth_repeats"] == now["growth_repeats"]
    return part != "growth" or alike


def measure(part: str, setup: Setup) -> None:
    """Measure a part in a process of its own, and first make the cells for it if need be."""
    sizes, source = setup.sizes, setup.source
    if setup.data is None and part != "growth" and not source.exists():
        cells = {"path": str(source), "cells": sizes.cells, "genes": sizes.genes, "batches": sizes.batches}
        call("simulate", cells, source.with_suffix(".json"), setup.threads)
    call(part, setup.to_json(), setup.folder / f"{part}.json", setup.threads)


def _setup(given: argparse.Namespace) -> Setup:
    setup = Setup(
        out=str(given.out),
        data=str(given.data) if given.data else None,
        batch_key=tuple(given.batch_key),
        threads=given.threads,
        repeats=given.repeats,
        growth_repeats=given.growth_repeats,
        quick=given.quick,
        published=tuple(given.published) if given.published else None,
        sizes=TINY if given.quick else Sizes(),
    )
    return setup if given.quick else setup.with_cells_up_to(given.max_cells)


def _forget(folder: Path, part: str) -> None:
    """Remove what a part has measured."""
    for path in [folder / f"{part}.json", *(folder / "fits").glob(f"{part}_*.json")]:
        path.unlink(missing_ok=True)


def _write(folder: Path) -> None:
    with atomic_path(folder / "speed.md") as path:
        path.write_text(render(folder))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("speed"), help="folder of the results")
    parser.add_argument(
        "--parts", nargs="+", default=list(MAKERS), choices=list(MAKERS), metavar="PART", help=", ".join(MAKERS)
    )
    parser.add_argument("--data", type=Path, help=".h5ad file with raw counts in X; else simulated cells")
    parser.add_argument("--batch-key", nargs="+", default=["batch"], help="columns of obs with the batch")
    parser.add_argument("--threads", type=int, default=1, help="threads of all libraries")
    parser.add_argument("--repeats", type=int, default=5, help="rounds of each measurement")
    parser.add_argument("--growth-repeats", type=int, default=1, help="fits of each size of the growth")
    parser.add_argument(
        "--published", nargs=2, metavar=("PYTHON", "CHECKOUT"), help="the code published with the paper, for whole"
    )
    parser.add_argument(
        "--max-cells", type=int, default=80_000, help=f"largest size of the growth, up to {CELLS[-1]:,}"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes: a smoke test, whose figures mean nothing")
    parser.add_argument("--again", action="store_true", help="measure what is there already, too")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    return given


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
