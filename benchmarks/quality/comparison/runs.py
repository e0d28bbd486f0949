"""One run of one method: computed once, kept in a folder of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scproto._files import atomic_path

from .environments import Environments, InstallationError
from .inputs import Data
from .methods import METHODS, Method
from .processes import OK, Outcome, run_limited, thread_environment

RECORD = "record.json"
"""What is known of a run; written last, so that a run which broke off is repeated."""


@dataclass(frozen=True)
class Limits:
    """What a run may use."""

    time_limit: float
    """Seconds."""
    threads: int


@dataclass(frozen=True)
class Run:
    """A method on a data set with a seed."""

    data: Data
    method: str
    n_prototypes: int
    seed: int

    def folder(self, out: Path) -> Path:
        """Return where the run is kept."""
        return out / "runs" / self.data.name / f"{self.method}_k{self.n_prototypes}_seed{self.seed}"


@dataclass(frozen=True)
class Found:
    """What a method found, in the order of the cells of the input."""

    assignment: np.ndarray
    """Metacell of each cell, ``(n_cells,)``; -1: none."""
    embedding: np.ndarray | None
    """Coordinates of the cells, ``(n_cells, n_dims)``; None for methods that have metacells only."""


def is_done(run: Run, out: Path) -> bool:
    """Whether the run was made from the same file before, whatever came of it."""
    return is_recorded(run.folder(out), run.data.digest)


def is_recorded(folder: Path, digest: str) -> bool:
    """Whether there is a record of a run on the file of this digest."""
    path = folder / RECORD
    return path.exists() and json.loads(path.read_text())["digest"] == digest


def call(method: Method, arguments: list[Any], folder: Path, environments: Environments, limits: Limits) -> Outcome:
    """Run the script of a method in its environment; its folder is made anew, and keeps the log."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        interpreter = environments.interpreter(method.requirements)
    except InstallationError as error:
        return Outcome(f"not run: {error}")
    variables = thread_environment(limits.threads)
    if method.requirements:
        variables["PYTHONPATH"] = ""  # its environment has all that it needs
    return run_limited([interpreter, method.path, *arguments], folder / "log.txt", limits.time_limit, variables)


def compute(run: Run, out: Path, environments: Environments, limits: Limits) -> dict[str, Any]:
    """Run the method and keep what it finds, how long it took and how it went.

    Parameters
    ----------
    run
        What to run.
    out
        Folder of the results.
    environments
        Where the peers' libraries are, or will be installed.
    limits
        Time limit and threads.

    Returns
    -------
    The record, as it is written.
    """
    method, folder = METHODS[run.method], run.folder(out)
    result = folder / "result.npz"
    cells = run.data.original if method.reads_original else run.data.prepared
    arguments = [cells, "--n-metacells", run.n_prototypes, "--seed", run.seed, "--out", result.resolve()]
    outcome = call(method, arguments, folder, environments, limits)
    versions = read_versions(result) if outcome.status == OK else {}
    record = {
        "data": run.data.name,
        "digest": run.data.digest,
        "method": run.method,
        "seed": run.seed,
        "n_prototypes": run.n_prototypes,
        "n_cells": run.data.n_cells,
        "n_genes": run.data.n_genes,
        "status": outcome.status,
        "seconds": _number(outcome.seconds),
        "cpu_seconds": _number(outcome.cpu_seconds),
        "peak_memory_mib": _number(outcome.peak_memory_mib),
        "version": versions.get(method.package),
        **asdict(limits),
        "versions": versions,
    }
    with atomic_path(folder / RECORD) as path:
        path.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n")
    return record


def read_found(result: Path) -> Found:
    """Read what a method found."""
    with np.load(result) as arrays:
        return Found(arrays["assignment"], arrays.get("embedding"))


def read_versions(result: Path) -> dict[str, str]:
    """Read which libraries a method had."""
    with np.load(result) as arrays:
        return json.loads(str(arrays["versions"]))


def folders(out: Path) -> Iterator[Path]:
    """Yield the folders of all runs with a record, of this call and of earlier ones."""
    for record in sorted((out / "runs").glob(f"*/*/{RECORD}")):
        yield record.parent


def _number(value: float) -> float | None:
    """Return the value with one decimal; None for NaN, which JSON lacks."""
    return None if np.isnan(value) else round(value, 1)
