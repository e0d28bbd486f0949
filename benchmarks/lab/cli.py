"""Pieces of the command lines."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scproto._errors import InputError

from .environments import PYTHON

ARGUMENTS: dict[str, dict[str, Any]] = {
    "files": {"nargs": "+", "type": Path, "help": "folders or .h5ad files"},
    "data": {"nargs": "+", "help": ".h5ad files, or blood or simulated, which come with scproto"},
    "--out": {"type": Path, "help": "where the results are written (default: %(default)s)"},
    "--seeds": {"nargs": "+", "type": int, "default": [0, 1, 2]},
    "--seed": {"type": int, "default": 0},
    "--n-prototypes": {
        "nargs": "+",
        "default": [],
        "metavar": "K|NAME=K",
        "help": "metacells: for all data sets, for one by the name of its file, or both; else one per 75 cells",
    },
    "--max-steps": {"type": int, "help": "steps of the training; else the package's own number"},
    "--time-limit": {"type": float, "default": 1800.0, "help": "seconds for one run"},
    "--threads": {"type": int, "default": 1, "help": "threads of every process"},
    "--environments": {"type": Path, "help": "folder of the peers' environments; else within --out"},
    "--python": {"help": f"Python to make them with; else {PYTHON} where there is one"},
    "--again": {"action": "store_true", "help": "compute what is there already, too"},
}
"""Arguments that several programs take."""

OF_PEERS = ("--out", "--seeds", "--time-limit", "--threads", "--environments", "--python", "--again")
"""What programs that run peers take."""


def parser(description: str | None, *names: str, **defaults: Any) -> ArgumentParser:
    """Make a parser with some of `ARGUMENTS`, and other defaults where they are given."""
    made = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)
    for name in names:
        made.add_argument(name, **ARGUMENTS[name])
    made.set_defaults(**defaults)
    return made


@contextmanager
def one_sentence() -> Iterator[None]:
    """End the program with the sentence of an error that the input causes."""
    try:
        yield
    except InputError as error:
        sys.exit(str(error))


def say(text: str) -> None:
    """Tell on standard error how far the program is."""
    print(text, file=sys.stderr, flush=True)
