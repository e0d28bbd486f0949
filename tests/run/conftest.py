from __future__ import annotations

import numpy as np
import pytest

from scproto.graph import umap_layout
from scproto.run.job import Job


class Layout(Job):
    """A layout that keeps the points it gets, and puts all of them at zero."""

    def __init__(self) -> None:
        super().__init__(umap_layout)
        self.submitted: list[np.ndarray] = []

    def submit(self, points: np.ndarray, seed: int) -> None:
        self.submitted.append(points)

    def result(self) -> np.ndarray:
        return np.zeros((len(self.submitted[-1]), 2), np.float32)


@pytest.fixture
def layout() -> Layout:
    return Layout()
