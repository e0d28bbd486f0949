from __future__ import annotations

import numpy as np
import pytest
from sklearn.manifold import trustworthiness
from sklearn.neighbors import KNeighborsTransformer

from scproto._errors import InputError
from scproto.graph import umap_layout
from scproto.graph.layout import _neighbor_search, place_on


def two_groups(n_points: int, n_latent: int = 8) -> np.ndarray:
    """Two distant groups on the sphere; points alternate between them."""
    x = np.random.default_rng(0).normal(scale=0.1, size=(n_points, n_latent))
    x[np.arange(n_points), np.arange(n_points) % 2] += 1
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


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


def test_more_points_than_scanpy_searches_exactly():
    assert np.isfinite(umap_layout(two_groups(8_204, n_latent=3))).all()


def test_neighbours_and_distances_equal_those_of_scikit_learn():
    points = two_groups(90)
    expected = KNeighborsTransformer(n_neighbors=7, algorithm="brute").fit_transform(points)
    found = _neighbor_search(7).fit_transform(points)
    np.testing.assert_allclose(found.toarray(), expected.toarray(), atol=2e-3)
    assert (found.getnnz(axis=1) == 8).all()


@pytest.mark.parametrize(("n_points", "epochs"), [(9, None), (10, 200)])
def test_many_points_get_few_epochs(monkeypatch, n_points, epochs):
    seen = []
    monkeypatch.setattr("scproto.graph.layout.FEW_EPOCHS_FROM", 10)
    monkeypatch.setattr(
        "scanpy.tl.umap",
        lambda joint, *, maxiter, random_state: (
            seen.append((maxiter, random_state)) or joint.obsm.update(X_umap=np.zeros((joint.n_obs, 2)))
        ),
    )
    umap_layout(np.random.default_rng(0).normal(size=(n_points, 3)), 7)
    assert seen == [(epochs, 7)]


@pytest.mark.slow
def test_few_epochs_are_as_trustworthy_as_many(monkeypatch):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(12, 16))[rng.integers(12, size=2500)] + 0.3 * rng.normal(size=(2500, 16))
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    found = []
    for few_from in (2_000, 10_000):
        monkeypatch.setattr("scproto.graph.layout.FEW_EPOCHS_FROM", few_from)
        found.append(trustworthiness(points, umap_layout(points), n_neighbors=15))
    assert found[0] > found[1] - 0.005


def test_points_are_placed_between_their_nearest_like_in_a_loop():
    rng = np.random.default_rng(0)
    reference, layout, points = rng.normal(size=(40, 3)), rng.normal(size=(40, 2)), rng.normal(size=(7, 3))
    expected = []
    for point in points:
        distance = np.linalg.norm(reference - point, axis=1)
        near = np.argsort(distance)[:3]
        weight = 1 / distance[near]
        expected.append(weight @ layout[near] / weight.sum())
    np.testing.assert_allclose(place_on(points, reference, layout, 3), expected, rtol=1e-3, atol=1e-4)


def test_a_point_of_the_layout_is_placed_on_itself():
    rng = np.random.default_rng(0)
    reference, layout = rng.normal(size=(40, 3)).astype(np.float32), rng.normal(size=(40, 2))
    np.testing.assert_allclose(place_on(reference, reference, layout), layout, atol=2e-2)


def test_a_layout_of_one_point_takes_all():
    found = place_on(np.zeros((2, 3)), np.ones((1, 3)), np.array([[4.0, 5.0]]))
    np.testing.assert_allclose(found, [[4, 5], [4, 5]])
