"""One run of one method: computed and scored once, its denoised tables not kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from comparison.environments import Environments
from comparison.processes import OK
from comparison.runs import RECORD, Limits, call, is_recorded

from scproto._files import atomic_path
from scproto.inputs.files import read_cells

from .inputs import Split
from .methods import METHODS
from .scores import score_all


@dataclass(frozen=True)
class Run:
    """A method on a split."""

    split: Split
    method: str

    def folder(self, out: Path) -> Path:
        """Return where the run is kept."""
        return out / "runs" / self.split.name / f"{self.method}_g{self.split.n_genes}_seed{self.split.seed}"

    def is_done(self, out: Path) -> bool:
        """Whether the run was made from the same file before, whatever came of it."""
        return is_recorded(self.folder(out), self.split.digest)


def compute(run: Run, out: Path, environments: Environments, limits: Limits) -> dict[str, Any]:
    """Run the method and score what it finds.

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
    method, folder, split = METHODS[run.method], run.folder(out), run.split
    result = (folder / "result.npz").resolve()
    outcome = call(method, [split.seen, "--seed", split.seed, "--out", result], folder, environments, limits)
    versions, scores = {}, {}
    if outcome.status == OK:
        with np.load(result) as arrays:
            versions = json.loads(str(arrays["versions"]))
            tables = {name: arrays[name] for name in arrays.files if name != "versions"}
        scores = score_all(tables, read_cells(split.seen), read_cells(split.held_out), split.seed)
        result.unlink()  # a dense table for each way to denoise
    record = {
        "data": split.name,
        "digest": split.digest,
        "n_genes": split.n_genes,
        "method": run.method,
        "seed": split.seed,
        "status": outcome.status,
        "seconds": None if np.isnan(outcome.seconds) else round(outcome.seconds, 1),
        "versions": versions,
        "scores": scores,
    }
    with atomic_path(folder / RECORD) as path:
        path.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n")
    return record


def records(out: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of all runs, of this call and of earlier ones."""
    for path in sorted((out / "runs").glob(f"*/*/{RECORD}")):
        yield json.loads(path.read_text())
