from __future__ import annotations

import numpy as np
import pytest
import torch

from scproto.metacells import assignment as module
from scproto.metacells.assignment import Assignment, assign, log_probability


def random_unit(n: int, n_latent: int = 5, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, n_latent))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(("n_cells", "n_prototypes"), [(40, 9), (1, 9), (40, 3), (7, 1)])
def test_assignment_equals_a_loop(n_cells, n_prototypes):
    unit, prototypes = random_unit(n_cells), random_unit(n_prototypes, seed=1)
    found = assign(unit, prototypes, temperature=0.1, n_top=5)
    assert found.probability.shape == (n_cells, n_prototypes)
    for cell in range(n_cells):
        cosine = [float(unit[cell] @ p) for p in prototypes]
        p = np.exp(np.array(cosine) / 0.1)
        p /= p.sum()
        best = int(np.argmax(cosine))
        assert found.nearest[cell] == found.metacell[cell] == best
        assert found.confidence[cell] == pytest.approx(p[best], rel=1e-4)
        assert found.distance[cell] == pytest.approx(1 - cosine[best], abs=1e-6)
        kept = np.sort(np.argsort(-p)[:5])
        row = found.probability[cell].toarray().ravel()
        np.testing.assert_array_equal(row.nonzero()[0], kept)
        np.testing.assert_allclose(row[kept], p[kept], rtol=1e-4)


def test_probabilities_of_few_prototypes_sum_to_one():
    found = assign(random_unit(20), random_unit(4, seed=1))
    np.testing.assert_allclose(found.probability.sum(1), 1, rtol=1e-5)
    assert found.probability.has_sorted_indices


@pytest.mark.parametrize("n_groups", [1, 3, 8])
def test_metacells_of_several_prototypes_equal_a_loop(n_groups):
    unit, prototypes = random_unit(30), random_unit(9, seed=1)
    group = np.arange(9) % n_groups
    found = assign(unit, prototypes, group, temperature=0.1, n_top=3)
    assert found.probability.shape == (30, n_groups)
    for cell in range(30):
        cosine = prototypes @ unit[cell]
        p = np.exp(cosine / 0.1)
        p /= p.sum()
        share = np.array([p[group == g].sum() for g in range(n_groups)])
        best = int(np.argmax(cosine))
        assert found.nearest[cell] == best
        assert found.metacell[cell] == group[best]
        assert found.confidence[cell] == pytest.approx(share[group[best]], rel=1e-4)
        assert found.distance[cell] == pytest.approx(1 - cosine[best], abs=1e-6)
        row = found.probability[cell].toarray().ravel()
        kept = np.sort(np.argsort(-share)[:3])
        np.testing.assert_array_equal(row.nonzero()[0], kept)
        np.testing.assert_allclose(row[kept], share[kept], rtol=1e-4)


def test_chunks_do_not_matter(monkeypatch):
    unit, prototypes = random_unit(50), random_unit(8, seed=1)
    whole = assign(unit, prototypes)
    monkeypatch.setattr(module, "CHUNK", 7)
    parts = assign(unit, prototypes)
    np.testing.assert_array_equal(parts.nearest, whole.nearest)
    np.testing.assert_allclose(parts.confidence, whole.confidence, rtol=1e-5)
    np.testing.assert_allclose(parts.probability.toarray(), whole.probability.toarray(), rtol=1e-5)


def test_a_cell_on_its_prototype_has_distance_zero():
    prototypes = random_unit(6, n_latent=20)
    found = assign(prototypes, prototypes)
    assert found.nearest.tolist() == list(range(6))
    assert (found.distance >= 0).all()
    np.testing.assert_allclose(found.distance, 0, atol=1e-6)


def outliers(distance: list[float]) -> list[bool]:
    zeros = np.zeros(len(distance))
    return Assignment(zeros, zeros, zeros, np.array(distance), None).outlier.tolist()


def test_outliers_lie_five_deviations_above_the_median():
    near = [0.10, 0.11, 0.12, 0.13, 0.14]  # plus one lower value: median absolute deviation 0.01
    assert outliers([*near, 0.09, 0.9]) == [False] * 6 + [True]
    median, deviation = 0.12, 0.02
    limit = median + 5 * 1.4826 * deviation
    assert outliers([*near, 0.09, limit + 0.001]) == [False] * 6 + [True]
    assert outliers([*near, 0.09, limit - 0.001]) == [False] * 7


@pytest.mark.parametrize("distance", [[0.3], [0.3, 0.3, 0.3]])
def test_no_outliers_among_equal_distances(distance):
    assert not any(outliers(distance))


@pytest.mark.parametrize("n_groups", [1, 3, 8])
def test_log_probability_agrees_with_the_assignment(n_groups):
    unit, prototypes = random_unit(30), random_unit(8, seed=1)
    group = np.arange(8) % n_groups
    found = assign(unit, prototypes, group, n_top=8)
    arrays = (torch.from_numpy(a) for a in (unit, prototypes, group, found.metacell))
    own = log_probability(*arrays).exp().numpy()
    np.testing.assert_allclose(own, found.confidence, rtol=1e-4)
    other = (found.metacell + 1) % n_groups
    arrays = (torch.from_numpy(a) for a in (unit, prototypes, group, other))
    expected = found.probability.toarray()[np.arange(30), other]
    np.testing.assert_allclose(log_probability(*arrays).exp().numpy(), expected, rtol=1e-4, atol=1e-7)


def test_the_own_metacell_is_kept_if_many_prototypes_are_equal():
    unit = random_unit(6)
    found = assign(unit, np.repeat(unit[:2], 10, axis=0), n_top=3)
    for cell in range(6):
        row = found.probability[cell].toarray().ravel()
        assert row[found.metacell[cell]] == pytest.approx(found.confidence[cell])
        assert (row > 0).sum() == 3


def test_the_own_metacell_is_kept_if_larger_ones_are_more_probable():
    """The nearest prototype is alone in its metacell; each other metacell has several, a little farther away."""
    angles = np.array([0.0, *np.repeat([0.3, 0.31, 0.32], 5)])
    prototypes = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = assign(np.array([[1.0, 0.0]], np.float32), prototypes, np.repeat(np.arange(4), [1, 5, 5, 5]), n_top=2)
    row = found.probability[0].toarray().ravel()
    assert found.metacell[0] == 0
    assert found.confidence[0] < row.max()
    assert row[0] == pytest.approx(found.confidence[0])
