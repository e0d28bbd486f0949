from __future__ import annotations

import numpy as np
import pytest

from scproto._errors import InputError
from scproto.graph import umap_layout


@pytest.mark.parametrize("n_points", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("n_latent", [1, 2, 6])
def test_few_points(n_points, n_latent):
    points = np.random.default_rng(n_points).normal(size=(n_points, n_latent)).astype(np.float32)
    layout = umap_layout(points / np.linalg.norm(points, axis=1, keepdims=True))
    assert layout.shape == (n_points, 2)
    assert layout.dtype == np.float32
    assert np.isfinite(layout).all()


@pytest.mark.parametrize("n_points", [3, 40])
def test_points_in_one_place(n_points):
    assert np.isfinite(umap_layout(np.ones((n_points, 1), np.float32))).all()


def test_distances_of_three_points_are_kept():
    layout = umap_layout(np.eye(5)[:3])
    distance = np.linalg.norm(layout[:, None] - layout, axis=2)
    np.testing.assert_allclose(distance, np.sqrt(2) * (1 - np.eye(3)), atol=1e-6)


def test_seed_is_checked():
    with pytest.raises(InputError, match="seed=-1"):
        umap_layout(np.eye(6), -1)
