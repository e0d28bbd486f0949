"""The setup of a call of ``speed.py``, and the machine that it runs on. This module is quick to import."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lab.processes import OK, run_limited, thread_environment

from scproto._versions import library_versions

WORKER = Path(__file__).parents[1] / "worker.py"

CELLS = [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 500_000]
"""Numbers of cells in ``growth``; ``--max-cells`` limits them."""

SIZES: dict[str, Any] = {
    "atlas": {"cells": 20_000, "genes": 5_000, "batches": 5},  # for all parts except growth
    "steps": 40,  # per timed epoch
    "batch_sizes": [256, 1024],
    "scvi_batch_sizes": [128, 1024],
    "max_steps": None,  # of the whole fits; None: the default of ``scproto fit``
    "base": {"cells": 10_000, "genes": 4_000, "prototypes": 200, "batches": 5},
    "growth": {  # one of these changes while the others stay at the base
        "cells": CELLS,
        "genes": [1_000, 2_000, 4_000, 8_000],
        "prototypes": [50, 100, 200, 500, 1_000, 2_000],
        "batches": [1, 2, 5, 10, 20, 50, 100, 200],
    },
    "growth_steps": 200,
}
"""Sizes of the measurements."""

TINY: dict[str, Any] = {
    "atlas": {"cells": 300, "genes": 120, "batches": 2},
    "steps": 3,
    "batch_sizes": [32, 64],
    "scvi_batch_sizes": [16, 64],
    "max_steps": 40,
    "base": {"cells": 200, "genes": 100, "prototypes": 10, "batches": 2},
    "growth": {"cells": [100, 200], "genes": [60, 100], "prototypes": [5, 10], "batches": [1, 2]},
    "growth_steps": 40,
}
"""Sizes of a smoke test: it runs all the code, but its figures mean nothing."""


class MeasurementError(RuntimeError):
    """A measurement failed."""


@dataclass(frozen=True)
class Setup:
    """The setup of a call; all fields can be written as JSON."""

    out: str
    data: str | None = None
    """File of counts, or None for a simulated atlas."""
    batch_key: list[str] = field(default_factory=lambda: ["batch"])
    threads: int = 1
    repeats: int = 5
    growth_repeats: int = 1
    quick: bool = False
    sizes: dict[str, Any] = field(default_factory=lambda: SIZES)

    @property
    def folder(self) -> Path:
        """Folder of the results."""
        return Path(self.out)

    @property
    def source(self) -> Path:
        """The file that is measured."""
        return Path(self.data) if self.data else self.simulated(self.sizes["atlas"])

    def simulated(self, sizes: dict[str, int]) -> Path:
        """Path in the results folder of a simulated atlas of this size."""
        name = "_".join(f"{sizes[name]}_{name}" for name in ("cells", "genes", "batches"))
        return self.folder / "inputs" / f"simulated_{name}.h5ad"

    def simulate(self, sizes: dict[str, int]) -> Path:
        """Simulate an atlas of this size unless its file exists, and return its path."""
        path = self.simulated(sizes)
        if not path.exists():
            self.call("simulate", {"path": str(path), **sizes}, path.with_suffix(".json"))
        return path

    def fit(self, name: str, **settings: Any) -> dict[str, Any]:
        """Run a whole fit in its own process; see :func:`measuring.fit.measure`."""
        given = {"source": str(self.source), "batch_key": self.batch_key, "folder": self.out}
        given |= {"max_steps": self.sizes["max_steps"]}
        return self.call("fit", given | settings, self.folder / "fits" / f"{name}.json")

    def call(self, task: str, arguments: dict[str, Any] | None, result: Path) -> dict[str, Any]:
        """Run a task of ``worker.py`` in a new process and return its result; a log next to the result has its output.

        Raises
        ------
        MeasurementError
            If the task fails; the message has the last line of its output.
        """
        result.parent.mkdir(parents=True, exist_ok=True)
        log = result.with_suffix(".log")
        given = json.dumps(asdict(self) if arguments is None else arguments)
        command = [sys.executable, WORKER, task, given, result, "--threads", self.threads]
        outcome = run_limited(command, log, thread_environment(self.threads) | {"MPLBACKEND": "agg"})
        if outcome.status != OK:
            raise MeasurementError(f"{task} {outcome.status}; the full output is in {log}")
        return json.loads(result.read_text())["result"]


def machine(threads: int) -> dict[str, Any]:
    """Return what the figures depend on: processor, load, threads and library versions."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "load": round(os.getloadavg()[0], 2),
        "versions": library_versions(),
    }


def _processor() -> str:
    """Return the processor model and, if the system lists them, the instructions that decide the precision."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = {flag for line in lines if line.startswith("flags") for flag in line.split()}
    known = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    return ", ".join([*models[:1], platform.machine(), *known])
