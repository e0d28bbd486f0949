from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest


@pytest.fixture
def clustered() -> Callable[..., np.ndarray]:
    """Draw `n` unit vectors around 40 random points."""

    def draw(n: int, n_dims: int = 8, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(40, n_dims))[rng.integers(0, 40, n)] + rng.normal(scale=0.3, size=(n, n_dims))
        return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)

    return draw
