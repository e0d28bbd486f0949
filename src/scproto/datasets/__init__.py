"""Included and simulated data sets; none of them needs network access."""

from __future__ import annotations

from ._pbmc import pbmc_three_labs
from ._scenarios import simulate_scenario
from ._simulate import simulate_atlas

__all__ = ["pbmc_three_labs", "simulate_atlas", "simulate_scenario"]
