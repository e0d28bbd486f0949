"""Labels that a model has learnt from its reference, to transfer them to queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..counts.normalise import BLOCK_CELLS
from ..data.source import CellSource
from ..metacells.classifier import Calibration, Classifier
from ..network import PrototypeModule, expression_rows


@dataclass(frozen=True)
class Annotation:
    """A classifier of one or several columns of labels.

    Attributes
    ----------
    columns
        Columns of ``obs``, from coarse to fine.
    classes
        Values of the columns that occur together, ``(n_classes, n_columns)``.
    classifier, calibration
        What tells the classes apart, and how far to trust it.
    composition
        Number of cells of the reference by prototype and class, ``(n_prototypes, n_classes)``.
    """

    columns: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    classifier: Classifier
    calibration: Calibration
    composition: NDArray[np.float32]

    def values(self, column: str) -> tuple[list[str], NDArray[np.bool_]]:
        """Labels of a column, and which classes have each, ``(n_classes, n_labels)``."""
        own = np.array([row[self.columns.index(column)] for row in self.classes], dtype=object)
        names = sorted(set(own))
        return names, own[:, None] == np.array(names, dtype=object)

    def to_json(self) -> dict[str, Any]:
        """Return what is not an array, as JSON can hold it."""
        numbers = {name: getattr(self.calibration, name) for name in ("temperature", "accuracy")}
        return {"columns": self.columns, "classes": self.classes, **numbers}

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the arrays by name."""
        found = {**asdict(self.classifier), **asdict(self.calibration), "composition": self.composition}
        return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float32]]) -> Self:
        """Undo :meth:`to_json` and :meth:`arrays`."""
        classifier = Classifier(**{name: arrays[name] for name in Classifier.__dataclass_fields__})
        rest = {name: arrays[name] for name in Calibration.__dataclass_fields__ if name in arrays}
        calibration = Calibration(temperature=stored["temperature"], accuracy=stored["accuracy"], **rest)
        classes = tuple(tuple(row) for row in stored["classes"])
        return cls(tuple(stored["columns"]), classes, classifier, calibration, arrays["composition"])


def features(
    module: PrototypeModule, source: CellSource, present: NDArray[np.bool_] | None = None
) -> sp.csr_matrix | NDArray[np.float32]:
    """Log expression of cells as the encoder reads it, dense if missing genes are completed, ``(n_cells, n_genes)``."""
    rows = list(expression_rows(module, source, BLOCK_CELLS, present))
    return sp.vstack(rows, format="csr") if present is None else np.concatenate(rows)
