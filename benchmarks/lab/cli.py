"""Shared parts of the command-line interfaces."""

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
    "--out": {"type": Path, "help": "where to write the results (default: %(default)s)"},
    "--seeds": {"nargs": "+", "type": int, "default": [0, 1, 2]},
    "--seed": {"type": int, "default": 0},
    "--n-prototypes": {
        "nargs": "+",
        "default": [],
        "metavar": "K|NAME=K",
        "help": "number of metacells: K for all data sets, NAME=K for one file (default: one per 75 cells)",
    },
    "--max-steps": {"type": int, "help": "number of training steps (default: that of the package)"},
    "--time-limit": {"type": float, "default": 1800.0, "help": "maximum number of seconds per run"},
    "--threads": {"type": int, "default": 1, "help": "number of threads per process"},
    "--environments": {"type": Path, "help": "folder for the peers' environments (default: inside --out)"},
    "--python": {"help": f"Python interpreter for these environments (default: {PYTHON} if it is installed)"},
    "--again": {"action": "store_true", "help": "repeat even what already has a result"},
}
"""Arguments that several scripts accept."""

OF_PEERS = ("--out", "--seeds", "--time-limit", "--threads", "--environments", "--python", "--again")
"""Arguments of the scripts that run peers."""


def parser(description: str | None, *names: str, **defaults: Any) -> ArgumentParser:
    """Return a parser with the named `ARGUMENTS`; `defaults` replaces their default values."""
    made = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)
    for name in names:
        made.add_argument(name, **ARGUMENTS[name])
    made.set_defaults(**defaults)
    return made


@contextmanager
def one_sentence() -> Iterator[None]:
    """End the program with one sentence if the input is wrong."""
    try:
        yield
    except InputError as error:
        sys.exit(str(error))


def say(text: str) -> None:
    """Report progress on standard error."""
    print(text, file=sys.stderr, flush=True)
