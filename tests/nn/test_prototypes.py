from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from scproto.nn import density_weights, nearest_prototype, spherical_kmeans


def random_unit(n: int, n_latent: int = 6, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(n, n_latent, generator=torch.Generator().manual_seed(seed)), dim=1)


def clusters(n_each: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Four tight groups along four axes, ``(4 * n_each, 6)``, and their centres."""
    label = np.repeat(np.arange(4), n_each)
    unit = F.normalize(torch.eye(6)[label] + 0.05 * random_unit(len(label)), dim=1).numpy()
    centres = np.stack([unit[label == c].mean(0) for c in range(4)])
    return unit, centres / np.linalg.norm(centres, axis=1, keepdims=True)


@pytest.mark.parametrize("n_prototypes", [1, 7, 40], ids=["one", "some", "one_per_cell"])
def test_centres_have_unit_norm(n_prototypes):
    centres = spherical_kmeans(random_unit(40).numpy(), n_prototypes)
    assert centres.shape == (n_prototypes, 6)
    assert centres.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize(("n_cells", "n_prototypes"), [(1, 1), (1, 4), (3, 8), (5, 5)])
def test_fewer_cells_than_centres(n_cells, n_prototypes, started):
    """A centre lies on each cell; given centres without cells stay where they are."""
    unit, init = random_unit(n_cells).numpy(), random_unit(n_prototypes, seed=1).numpy()
    weights = np.linspace(1, 2, n_cells, dtype=np.float32)
    centres = spherical_kmeans(unit, n_prototypes, weights=weights, init=init if started else None)
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-5)
    if not started:
        np.testing.assert_allclose((unit @ centres.T).max(1), 1, atol=1e-5)
    elif n_cells < n_prototypes:
        stay = (centres == init).all(1).sum()
        assert n_prototypes - n_cells <= stay < n_prototypes


@pytest.mark.parametrize(("n_distinct", "n_prototypes"), [(1, 6), (2, 40), (3, 60)])
def test_many_identical_cells(n_distinct, n_prototypes):
    unit = np.repeat(random_unit(n_distinct).numpy(), 60 // n_distinct, axis=0)
    centres = spherical_kmeans(unit, n_prototypes)
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose((unit @ centres.T).max(1), 1, atol=1e-4)


@pytest.mark.parametrize("n_each", [1, 20])
def test_a_centre_whose_cells_cancel_out_stays_where_it_is(n_each):
    unit = np.repeat(np.array([[1, 0], [-1, 0]], np.float32), n_each, axis=0)
    found = spherical_kmeans(unit, 1)
    np.testing.assert_allclose(np.abs(found), [[1, 0]], atol=1e-6)


def test_follows_the_seed():
    unit = random_unit(200).numpy()
    first, again, other = (spherical_kmeans(unit, 8, n_iterations=2, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_one_centre_is_the_mean_direction():
    unit = random_unit(50).numpy()
    mean = unit.mean(0)
    np.testing.assert_allclose(spherical_kmeans(unit, 1)[0], mean / np.linalg.norm(mean), atol=1e-5)


def test_one_centre_of_weighted_cells_is_their_weighted_mean_direction():
    unit, weights = random_unit(50).numpy(), np.linspace(0.1, 5, 50, dtype=np.float32)
    mean = weights @ unit
    found = spherical_kmeans(unit, 1, weights=weights)[0]
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean), atol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 1e-6])
def test_cells_with_almost_no_weight_change_nothing(weight):
    unit = random_unit(60).numpy()
    weights = np.linspace(1, 2, 60, dtype=np.float32)
    weights[40:] = weight
    found = spherical_kmeans(unit, 5, weights=weights, init=unit[:5])
    without = spherical_kmeans(unit[:40], 5, weights=weights[:40], init=unit[:5])
    np.testing.assert_allclose(found, without, atol=1e-4)


@pytest.mark.parametrize("power", [-20, 10])
def test_only_the_proportions_of_the_weights_count(power):
    """Also for a centre without cells: to fill it, faiss splits a centre by how much that exceeds a weight of one."""
    unit, weights = random_unit(400).numpy(), np.linspace(1, 3, 400, dtype=np.float32)
    init = unit[[*range(19), 18]]  # the last two centres are the same
    found, scaled = (
        spherical_kmeans(unit, 20, weights=factor * weights, init=init, n_iterations=1) for factor in (1.0, 2.0**power)
    )
    np.testing.assert_array_equal(scaled, found)


def test_equal_weights_are_the_default():
    unit = random_unit(80).numpy()
    np.testing.assert_array_equal(
        spherical_kmeans(unit, 6, weights=np.full(80, 4.0, np.float32)),
        spherical_kmeans(unit, 6),
    )


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 0, 3, 1]])
def test_starts_from_the_given_centres(order):
    """If groups are far from each other, each given centre keeps its own group, in the given order."""
    unit, centres = clusters()
    start = centres[order] + np.float32(0.1)
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    given = start.copy()
    found = spherical_kmeans(unit, 4, init=start, n_iterations=2)
    np.testing.assert_allclose(found, centres[order], atol=1e-5)
    np.testing.assert_array_equal(start, given)


def test_many_cells_per_centre():
    """With more cells than faiss samples by default, each centre is still that of its group."""
    unit, centres = clusters(n_each=1500)
    found = spherical_kmeans(unit, 4, init=centres, n_iterations=3)
    np.testing.assert_allclose(found, centres, atol=5e-3)


@pytest.mark.parametrize("seed", range(5))
def test_a_rare_group_far_from_all_others_gets_a_centre(seed):
    common = F.normalize(torch.eye(6)[0] + 0.05 * random_unit(600, seed=seed), dim=1)
    rare = F.normalize(-torch.eye(6)[1] + 0.05 * random_unit(3, seed=seed), dim=1)
    centres = spherical_kmeans(torch.cat([common, rare]).numpy(), 10, seed=seed)
    assert (centres @ rare.numpy().T).max() > 0.99


@pytest.mark.parametrize("seed", range(4))
def test_density_weights_give_a_rare_group_a_centre(seed):
    """The common group is wide: without weights, another centre is worth more there than for six cells."""
    axes = torch.eye(6)
    wide = F.normalize(axes[0] + 0.5 * random_unit(3000, seed=seed), dim=1)
    rare = F.normalize(0.3 * axes[0] + axes[1] + 0.02 * random_unit(6, seed=seed + 9), dim=1)
    unit, middle = torch.cat([wide, rare]), F.normalize(rare.mean(0), dim=0).numpy()
    evenly = spherical_kmeans(unit.numpy(), 10, seed=seed)
    weights = density_weights(unit, torch.from_numpy(evenly)).numpy()
    weighted = spherical_kmeans(unit.numpy(), 10, weights=weights, seed=seed)
    assert (evenly @ middle).max() < 0.8
    assert (weighted @ middle).max() > 0.99


@pytest.mark.parametrize("chunk", [1, 4, 100])
@pytest.mark.parametrize("n_prototypes", [1, 5, 30])
def test_nearest_prototype_equals_a_loop(monkeypatch, chunk, n_prototypes):
    monkeypatch.setattr("scproto.nn.prototypes.CHUNK", chunk)
    unit, prototypes = random_unit(9), random_unit(n_prototypes, seed=1)
    cosine, index = nearest_prototype(unit, prototypes)
    for i, cell in enumerate(unit):
        similarities = [float(cell @ prototype) for prototype in prototypes]
        assert index[i] == np.argmax(similarities)
        assert float(cosine[i]) == pytest.approx(max(similarities), abs=1e-6)
