"""The methods that are compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PEERS = Path(__file__).parents[1] / "peers"


@dataclass(frozen=True)
class Method:
    """One method: a script in ``peers`` and the environment that it runs in."""

    title: str
    """Name in plots and tables."""
    script: str
    """File in ``peers``, without suffix; its exact pins, if it needs an environment of its own, lie beside it."""

    @property
    def path(self) -> Path:
        """The script."""
        return PEERS / f"{self.script}.py"

    @property
    def requirements(self) -> Path | None:
        """Exact pins of its environment; None: it runs in the environment of the benchmark."""
        path = PEERS / f"{self.script}.txt"
        return path if path.exists() else None


METHODS = {
    "scproto": Method("scproto", "scproto_levels"),
    "none": Method("no denoising", "no_denoising"),
    "knn": Method("kNN smoothing", "knn_smoothing"),
    "magic": Method("MAGIC", "magic_impute"),
    "low_rank": Method("low rank", "low_rank"),
    "scvi": Method("scVI", "scvi_defaults"),
}
"""By the name that ``--methods`` takes."""
