"""What a call of ``speed.py`` asks for, and the machine that it runs on. Nothing here is heavy to import."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from scproto._versions import library_versions

CELLS = (5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 500_000)
"""Sizes of the growth over cells; those up to the largest that is asked for are taken."""


@dataclass(frozen=True)
class Sizes:
    """How large everything is."""

    cells: int = 20_000
    genes: int = 5_000
    batches: int = 5
    """Of the simulated atlas of all parts but the growth."""
    steps: int = 40
    """Steps of each epoch whose time is taken."""
    batch_sizes: tuple[int, ...] = (256, 1024)
    scvi_batch_sizes: tuple[int, ...] = (128, 1024)
    max_steps: int | None = None
    """Steps of the whole fits; None: as many as ``scproto fit`` takes."""
    base: dict[str, int] = field(
        default_factory=lambda: {"cells": 10_000, "genes": 4_000, "prototypes": 200, "batches": 5}
    )
    """Growth: one of these changes while the others stay."""
    growth: dict[str, tuple[int, ...]] = field(
        default_factory=lambda: {
            "cells": CELLS[:5],
            "genes": (1_000, 2_000, 4_000, 8_000),
            "prototypes": (50, 100, 200, 500, 1_000, 2_000),
            "batches": (1, 2, 5, 10, 20, 50, 100, 200),
        }
    )
    growth_steps: int = 200
    """Steps of each fit of the growth."""


TINY = Sizes(
    cells=300,
    genes=120,
    batches=2,
    steps=3,
    batch_sizes=(32, 64),
    scvi_batch_sizes=(16, 64),
    max_steps=40,
    base={"cells": 200, "genes": 100, "prototypes": 10, "batches": 2},
    growth={"cells": (100, 200), "genes": (60, 100), "prototypes": (5, 10), "batches": (1, 2)},
    growth_steps=40,
)
"""Sizes of a smoke test: all code runs, no figure means anything."""


@dataclass(frozen=True)
class Setup:
    """What a call asks for."""

    out: str
    data: str | None = None
    """File of counts; None: a simulated atlas."""
    batch_key: tuple[str, ...] = ("batch",)
    threads: int = 1
    repeats: int = 5
    growth_repeats: int = 1
    quick: bool = False
    published: tuple[str, str] | None = None
    """Python of an environment and a checkout, for the code published with the paper; None: it is left out."""
    sizes: Sizes = field(default_factory=Sizes)

    def to_json(self) -> dict[str, Any]:
        """Fields by name, as JSON has them."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Undo :meth:`to_json`."""
        lists = {name: tuple(value) for name, value in stored["sizes"].items() if isinstance(value, list)}
        growth = {axis: tuple(values) for axis, values in stored["sizes"]["growth"].items()}
        sizes: dict[str, Any] = {**stored["sizes"], **lists, "growth": growth}
        given = {**stored, "batch_key": tuple(stored["batch_key"]), "sizes": Sizes(**sizes)}
        return cls(**given | {"published": tuple(stored["published"]) if stored["published"] else None})

    @property
    def folder(self) -> Path:
        """Folder of the results."""
        return Path(self.out)

    @property
    def source(self) -> Path:
        """The file that is measured."""
        sizes = self.sizes
        return Path(self.data) if self.data else simulated(self.folder, sizes.cells, sizes.genes, sizes.batches)

    @property
    def fit(self) -> dict[str, Any]:
        """A whole fit as the task ``fit`` is told.

        No "threads": the process has its number, and a fit that is told one makes the UMAP without a second process.
        """
        return {
            "source": str(self.source),
            "batch_key": self.batch_key,
            "folder": self.out,
            "max_steps": self.sizes.max_steps,
        }

    def with_cells_up_to(self, most: int) -> Self:
        """The same with other sizes of the growth over cells."""
        cells = tuple(n for n in CELLS if n <= most)
        return replace(self, sizes=replace(self.sizes, growth=self.sizes.growth | {"cells": cells}))


def simulated(folder: Path, n_cells: int, n_genes: int, n_batches: int) -> Path:
    """Where a simulated atlas of this size lies in the folder of the results."""
    return folder / "inputs" / f"simulated_{n_cells}_cells_{n_genes}_genes_{n_batches}_batches.h5ad"


def machine(threads: int) -> dict[str, Any]:
    """What a figure rests on: the processor, how busy it is, threads and versions."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "load": round(os.getloadavg()[0], 2),
        "versions": library_versions(),
    }


def _processor() -> str:
    """Model and those instructions that decide about the precision, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = {flag for line in lines if line.startswith("flags") for flag in line.split()}
    known = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    return ", ".join([*models[:1], platform.machine(), *known])
