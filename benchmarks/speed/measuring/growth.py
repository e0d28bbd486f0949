"""Part ``growth``: how the time of each stage grows with cells, genes, prototypes and batches."""

from __future__ import annotations

import json
import math
from statistics import linear_regression, median
from typing import Any

from .setup import Setup

PICTURED = 80_000
"""Maximum number of cells with UMAP and report: above it, the layout of the UMAP would take most of the time."""


def measure(arguments: dict[str, Any]) -> dict[str, Any]:
    """Run a fit at each size in its own process, unless there is one already, and estimate the exponents.

    Returns
    -------
    For each axis: ``sizes``; ``seconds`` of each stage, with one number per size or None where the stage was left out;
    ``exponents``; ``last_exponents`` (between the last two sizes); and ``peak_memory_mib``.
    """
    setup = Setup(**arguments)
    found = {}
    for axis, sizes in setup.sizes["growth"].items():
        fits = [_fits(setup, axis, size) for size in sizes]
        names = dict.fromkeys(name for same in fits for name in same[0]["stages"])
        seconds = {name: [_median(same, name) for same in fits] for name in names}
        seconds["all stages"] = [median(fit["total"] for fit in same) for same in fits]
        found[axis] = {
            "sizes": sizes,
            "seconds": seconds,
            "exponents": {name: exponent(sizes, values) for name, values in seconds.items()},
            "last_exponents": {name: exponent(sizes[-2:], values[-2:]) for name, values in seconds.items()},
            "peak_memory_mib": [median(fit["peak_memory_mib"] for fit in same) for same in fits],
        }
    about = {"base": setup.sizes["base"], "steps": setup.sizes["growth_steps"], "repeats": setup.growth_repeats}
    return {"axes": found} | about


def exponent(sizes: Any, seconds: Any) -> float | None:
    """Return the least-squares slope of log seconds against log size, or None for fewer than two positive times."""
    points = [(math.log(n), math.log(s)) for n, s in zip(sizes, seconds, strict=True) if s is not None and s > 0]
    return linear_regression(*zip(*points, strict=True)).slope if len(points) > 1 else None


def _median(fits: list[dict[str, Any]], stage: str) -> float | None:
    found = [fit["stages"][stage] for fit in fits if stage in fit["stages"]]
    return median(found) if found else None


def _fits(setup: Setup, axis: str, size: int) -> list[dict[str, Any]]:
    """Return the results of the fits of one size; the atlas is deleted after them.

    The model gets half of the genes, so that a fit has to choose genes, and their number grows, too.
    """
    sizes = setup.sizes["base"] | {axis: size}
    results = {}
    for i in range(setup.growth_repeats):
        name = f"growth_{axis}_{size}_threads_{setup.threads}_{i}"
        path = setup.folder / "fits" / f"{name}.json"
        results[name] = json.loads(path.read_text())["result"] if path.exists() else None
    if None in results.values():
        source = setup.simulate({name: sizes[name] for name in ("cells", "genes", "batches")})
        settings = {
            "source": str(source),
            "batch_key": ["batch"],
            "max_steps": setup.sizes["growth_steps"],
            "n_prototypes": sizes["prototypes"],
            "n_top_genes": sizes["genes"] // 2,
            "report": sizes["cells"] <= PICTURED and not setup.quick,
            "threads": setup.threads,
        }
        try:
            results = {name: found or setup.fit(name, **settings) for name, found in results.items()}
        finally:
            if source != setup.source:
                source.unlink(missing_ok=True)
    return list(results.values())
