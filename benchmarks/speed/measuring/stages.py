"""Part ``stages``: where the time of a whole fit goes, and how much memory it takes."""

from __future__ import annotations

from statistics import median
from typing import Any

from .setup import Setup


def measure(arguments: dict[str, Any]) -> dict[str, Any]:
    """Run several fits, each in its own process.

    Returns
    -------
    ``stages`` and ``looks``: median, least and most seconds by name; ``total`` and ``peak_memory_mib``: the same for
    the whole fit; ``sizes``: sizes of the data and the model.
    """
    setup = Setup(**arguments)
    return summarise([setup.fit(f"stages_{i}") for i in range(setup.repeats)])


def summarise(fits: list[dict[str, Any]]) -> dict[str, Any]:
    """Return medians and ranges over fits of the same data."""
    first = fits[0]
    found: dict[str, Any] = {
        part: {name: _spread([fit[part][name] for fit in fits]) for name in first[part]} for part in ("stages", "looks")
    }
    found |= {name: _spread([fit[name] for fit in fits]) for name in ("total", "peak_memory_mib")}
    sizes = {name: value for name, value in first.items() if name.startswith("n_")}
    return found | {"sizes": sizes, "repeats": len(fits)}


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": median(values), "least": min(values), "most": max(values)}
