"""Part ``stages``: where the time of a whole fit goes, and how much memory it takes."""

from __future__ import annotations

from statistics import median
from typing import Any

from .processes import call
from .setup import Setup


def measure(arguments: dict[str, Any]) -> dict[str, Any]:
    """Fit several times, each in a process of its own.

    Returns
    -------
    ``stages`` and ``looks``: median, least and most seconds by name; ``total`` and ``peak_memory_mib`` likewise;
    ``sizes``: of the data and the model.
    """
    setup = Setup.from_json(arguments)
    results = [
        call("fit", setup.fit, setup.folder / "fits" / f"stages_{i}.json", setup.threads)["result"]
        for i in range(setup.repeats)
    ]
    return summarise(results)


def summarise(fits: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over fits of the same data."""
    table = {part: _spreads([fit[part] for fit in fits]) for part in ("stages", "looks")}
    single = {name: _spread([fit[name] for fit in fits]) for name in ("total", "peak_memory_mib")}
    sizes = {name: value for name, value in fits[0].items() if name.startswith("n_")}
    return table | single | {"sizes": sizes, "repeats": len(fits)}


def _spreads(rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    return {name: _spread([row[name] for row in rows]) for name in rows[0]}


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": median(values), "least": min(values), "most": max(values)}
