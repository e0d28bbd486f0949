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
    package: str = ""
    """Distribution whose version identifies the method, by its normalised name."""
    reads_original: bool = False
    """Whether it reads the original file, and not the input with the chosen genes."""
    folder: Path = PEERS
    """The folder ``peers``."""

    @property
    def path(self) -> Path:
        """The script."""
        return self.folder / f"{self.script}.py"

    @property
    def requirements(self) -> Path | None:
        """Exact pins of its environment; None: it runs in the environment of the benchmark."""
        path = self.folder / f"{self.script}.txt"
        return path if path.exists() else None


METHODS = {
    "scproto": Method("scproto", "scproto_fit", "scproto", reads_original=True),
    "pca": Method("PCA", "pca", "scikit-learn"),
    "harmony": Method("Harmony", "harmony", "harmonypy"),
    "scvi": Method("scVI", "scvi_tools", "scvi-tools"),
    "scpoli": Method("scPoli", "scpoli", "scarches"),
    "concord": Method("CONCORD", "concord_sc", "concord-sc"),
    "seacells": Method("SEACells", "seacells", "seacells"),
    "metacell2": Method("MetaCell-2", "metacell2", "metacells"),
    "metaq": Method("MetaQ", "metaq", "metaq-sc"),
    "geosketch": Method("geosketch", "geometric_sketch", "geosketch"),
    "random": Method("random cells", "random_cells", "scikit-learn"),
}
"""By the name that ``--methods`` takes."""
