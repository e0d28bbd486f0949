"""Runs of methods. Each is computed once and kept in its own folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scproto._errors import InputError

from .cli import say
from .environments import Environments, InstallationError
from .processes import OK, Outcome, run_limited, thread_environment
from .records import write_json
from .tables import summarise, write_results

RECORD = "record.json"
"""File that describes a run. It is written last, so that an interrupted run is repeated."""

NO_SCORES = ("seed", "n_prototypes", "n_cells", "n_genes", "time_limit", "threads")
"""Numeric columns that are not averaged."""

BENCHMARKS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Method:
    """One method: a script and the environment that it runs in."""

    title: str
    script: Path
    """If the method needs its own environment, the exact pins are in the ``.txt`` file of the same name."""
    package: str = ""
    """Normalised name of the distribution whose version identifies the method."""
    reads_original: bool = False
    """Whether the script reads the original file instead of the input with the chosen genes."""
    pins: str = ""
    """Name of the script whose pins and environment it shares."""

    @property
    def requirements(self) -> Path | None:
        """Exact pins of its environment, or None if it runs in the environment of the benchmark."""
        path = self.script.with_name(f"{self.pins or self.script.stem}.txt")
        return path if path.exists() else None


@dataclass(frozen=True)
class Limits:
    """Where the methods run, and how much time and how many threads a run may use."""

    environments: Environments
    time_limit: float
    """Seconds."""
    threads: int

    @classmethod
    def given(cls, arguments: Any) -> Limits:
        """Read the limits from the command line (see :data:`lab.cli.OF_PEERS`)."""
        environments = Environments(arguments.environments or arguments.out / "environments", arguments.python)
        return cls(environments, arguments.time_limit, arguments.threads)


@dataclass(frozen=True)
class Run:
    """A method on an input with a seed."""

    folder: Path
    """Folder that keeps the run."""
    method: Method
    arguments: list[Any]
    """Arguments of the script, without ``--out``."""
    about: dict[str, Any]
    """Values that identify the run, including ``digest``, the digest of the data."""
    score: Callable[[dict[str, np.ndarray]], dict[str, Any]]
    """Scores the output of the script."""
    keeps_result: bool = True
    """Whether to keep the output of the script, so that it can be scored again."""

    def is_done(self) -> bool:
        """Whether this run was made before from the same file, successfully or not."""
        path = self.folder / RECORD
        return path.exists() and json.loads(path.read_text())["digest"] == self.about["digest"]

    def compute(self, limits: Limits) -> dict[str, Any]:
        """Run and score the method; save and return its record with status, versions and scores."""
        outcome = self._call(limits)
        costs = {name: getattr(outcome, name) for name in ("seconds", "cpu_seconds", "peak_memory_mib")}
        costs = {name: None if value is None else round(value, 1) for name, value in costs.items()}
        record = self.about | {"status": outcome.status} | costs
        record |= {"time_limit": limits.time_limit, "threads": limits.threads, "versions": {}, "scores": {}}
        return self._scored(record)

    def rescore(self) -> dict[str, Any]:
        """Score the existing result again."""
        return self._scored(json.loads((self.folder / RECORD).read_text()))

    def _call(self, limits: Limits) -> Outcome:
        """Run the script in its environment, in a new folder that also keeps the log."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        try:
            interpreter = limits.environments.interpreter(self.method.requirements)
        except InstallationError as error:
            return Outcome(f"not run: {error}")
        here = None if self.method.requirements else os.environ.get("PYTHONPATH")  # its own environment is complete
        paths = os.pathsep.join(filter(None, [str(BENCHMARKS), here]))
        variables = thread_environment(limits.threads) | {"PYTHONPATH": paths}
        command = [interpreter, self.method.script, *self.arguments, "--out", self._result]
        return run_limited(command, self.folder / "log.txt", variables, limits.time_limit)

    def _scored(self, record: dict[str, Any]) -> dict[str, Any]:
        if record["status"] == OK or record["status"].startswith("not scored"):
            with np.load(self._result) as arrays:
                found = {name: arrays[name] for name in arrays.files}
            record["versions"] = json.loads(str(found.pop("versions")))
            try:
                record |= {"status": OK, "scores": self.score(found)}
            except InputError as error:
                record |= {"status": f"not scored: {error}", "scores": {}}
            if not self.keeps_result:
                self._result.unlink()
        write_json(self.folder / RECORD, record)
        return record

    @property
    def _result(self) -> Path:
        return (self.folder / "result.npz").resolve()


def complete(runs: Iterable[Run], given: Any, write: Callable[[Path], Any], *, rescore: bool = False) -> None:
    """Compute the missing runs, or all of them with ``--again``, and write the tables after each run.

    `given` holds the arguments of :data:`lab.cli.OF_PEERS`.
    """
    limits = Limits.given(given)
    for run in runs:
        if given.again or not run.is_done():
            record = run.compute(limits)
            say(f"{run.folder.parent.name}/{run.folder.name}: {record['status']}, {record['seconds']} s")
        elif rescore:
            run.rescore()
        write(given.out)


def records(out: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of all runs in a results folder, from this call and earlier ones."""
    for path in sorted((out / "runs").glob(f"*/*/{RECORD}")):
        yield json.loads(path.read_text())


def write_tables(out: Path, rows: list[dict[str, Any]], keys: list[str], methods: Iterable[str]) -> pd.DataFrame:
    """Write one row per result, and the means over the successful seeds; return the means.

    Rows are sorted by `keys` and then by seed, and methods keep the order in which they are given.
    """
    order = {name: i for i, name in enumerate(methods)}
    by = [name for name in (*keys, "seed") if name != "table"]
    table = pd.DataFrame(rows).sort_values(
        by, key=lambda key: key.map(order) if key.name == "method" else key, kind="stable", ignore_index=True
    )
    scores = [name for name in table.select_dtypes("number") if name not in (*NO_SCORES, *keys)]
    summary = summarise(table[table["status"] == OK], keys, scores)
    versions = {record["method"]: record["versions"] for record in records(out) if record["versions"]}
    write_results(out, table, summary, versions)
    return summary


def failures(out: Path) -> str:
    """Return one line per run that failed."""
    bad = [record for record in records(out) if record["status"] != OK]
    return "\n".join(f"{one['data']}, {one['method']}, seed {one['seed']}: {one['status']}" for one in bad)
