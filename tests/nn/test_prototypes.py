from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from scproto.nn import far_points, spherical_kmeans


def random_unit(n: int, n_latent: int = 6, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(n, n_latent, generator=torch.Generator().manual_seed(seed)), dim=1)


def clusters(n_each: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Four tight groups along four axes, ``(4 * n_each, 6)``, and their centres."""
    label = np.repeat(np.arange(4), n_each)
    unit = F.normalize(torch.eye(6)[label] + 0.05 * random_unit(len(label)), dim=1).numpy()
    centres = np.stack([unit[label == c].mean(0) for c in range(4)])
    return unit, centres / np.linalg.norm(centres, axis=1, keepdims=True)


@pytest.mark.parametrize("n_prototypes", [1, 7, 40], ids=["one", "some", "one_a_cell"])
def test_centres_have_unit_norm(n_prototypes):
    centres = spherical_kmeans(random_unit(40).numpy(), n_prototypes)
    assert centres.shape == (n_prototypes, 6)
    assert centres.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-5)


def test_seed_decides():
    unit = random_unit(200).numpy()
    first, again, other = (spherical_kmeans(unit, 8, n_iterations=2, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_one_centre_is_the_mean_direction():
    unit = random_unit(50).numpy()
    mean = unit.mean(0)
    np.testing.assert_allclose(spherical_kmeans(unit, 1)[0], mean / np.linalg.norm(mean), atol=1e-5)


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 0, 3, 1]])
def test_starts_from_the_given_centres(order):
    """On groups far apart each given centre keeps its own group, in the given order."""
    unit, centres = clusters()
    start = centres[order] + np.float32(0.1)
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    given = start.copy()
    found = spherical_kmeans(unit, 4, init=start, n_iterations=2)
    np.testing.assert_allclose(found, centres[order], atol=1e-5)
    np.testing.assert_array_equal(start, given)


def test_many_cells_a_centre():
    """More than faiss looks at by itself: the centre is still the group's."""
    unit, centres = clusters(n_each=1500)
    found = spherical_kmeans(unit, 4, init=centres, n_iterations=3)
    np.testing.assert_allclose(found, centres, atol=5e-3)


def naive_far_points(unit, prototypes, n_points):
    """Look at all distances anew for each point."""
    taken = [p.numpy() for p in prototypes]
    chosen = []
    for _ in range(n_points):
        nearest = [max(float(cell @ p) for p in taken) for cell in unit.numpy()]
        chosen.append(int(np.argmin(nearest)))
        taken.append(unit[chosen[-1]].numpy())
    return chosen


@pytest.mark.parametrize("n_points", [0, 1, 5])
def test_far_points_equal_a_greedy_loop(n_points):
    unit, prototypes = random_unit(30), random_unit(3, seed=1)
    chosen = far_points(unit, prototypes, n_points)
    assert chosen.dtype == torch.long
    assert chosen.tolist() == naive_far_points(unit, prototypes, n_points)


def test_far_points_are_different_cells():
    unit = random_unit(12)
    assert sorted(far_points(unit, unit[:1], 11).tolist()) == list(range(1, 12))


@pytest.mark.parametrize("seed", range(5))
def test_a_rare_group_far_from_all_others_gets_a_centre(seed):
    common = F.normalize(torch.eye(6)[0] + 0.05 * random_unit(600, seed=seed), dim=1)
    rare = F.normalize(-torch.eye(6)[1] + 0.05 * random_unit(3, seed=seed), dim=1)
    centres = spherical_kmeans(torch.cat([common, rare]).numpy(), 10, seed=seed)
    assert (centres @ rare.numpy().T).max() > 0.99
