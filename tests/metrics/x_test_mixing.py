from __future__ import annotations

import numpy as np
import pytest

from scproto.metrics.mixing import MIN_CELLS, apart_from_partner, batch_disagreement, structure_kept

N_BATCHES, N_TYPES, N_EACH, N_DIMS = 3, 4, 40, 8


def blobs(seed: int = 0, shift: float = 3.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, batches and types of cells; the types lie in the same places in each batch, up to one shift per batch."""
    rng = np.random.default_rng(seed)
    batch = np.repeat(np.arange(N_BATCHES), N_TYPES * N_EACH)
    kind = np.tile(np.repeat(np.arange(N_TYPES), N_EACH), N_BATCHES)
    centre, moved = 6 * rng.normal(size=(N_TYPES, N_DIMS)), shift * rng.normal(size=(N_BATCHES, N_DIMS))
    return centre[kind] + moved[batch] + rng.normal(size=(len(kind), N_DIMS)), batch, kind


def test_types_keep_the_structure_and_random_groups_lose_it():
    points, batch, kind = blobs()
    assert structure_kept(points, batch, kind) == pytest.approx(1, abs=1e-6)
    assert structure_kept(points, batch, kind * N_BATCHES + batch) == pytest.approx(1, abs=1e-6)
    assert structure_kept(points, batch, kind // 2) < 0.9
    random = np.random.default_rng(0).integers(N_TYPES, size=len(batch))
    assert structure_kept(points, batch, random) == pytest.approx(0, abs=0.05)


def test_structure_equals_a_loop():
    """The types are so distinct that k-means finds them."""
    points, batch, kind = blobs()
    metacell = (kind + np.arange(len(kind)) % 3) % N_TYPES

    def explained(x: np.ndarray, group: np.ndarray) -> float:
        total = sum(((row - x.mean(0)) ** 2).sum() for row in x)
        left = sum(((row - x[group == g].mean(0)) ** 2).sum() for row, g in zip(x, group, strict=True))
        return total - left - total * (len(set(group)) - 1) / (len(x) - 1)

    ours = best = 0.0
    for b in range(N_BATCHES):
        x = points[batch == b]
        ours += explained(x, metacell[batch == b])
        best += explained(x, kind[batch == b])
    assert structure_kept(points, batch, metacell) == pytest.approx(ours / best, rel=1e-6)


def test_without_structure_to_keep_the_score_is_one():
    points, batch, _ = blobs()
    assert structure_kept(points, batch, np.zeros(len(batch), int)) == 1
    assert structure_kept(np.ones_like(points), batch, np.arange(len(batch)) % 3) == 1
    assert structure_kept(points[:1], batch[:1], np.zeros(1, int)) == 1


def test_the_shift_of_a_whole_batch_is_no_disagreement():
    points, batch, kind = blobs()
    assert batch_disagreement(points, batch, kind).total < 0.01


def test_unequal_composition_is_no_disagreement():
    points, batch, kind = blobs()
    keep = ~((batch == 0) & (kind == 0)) & ~((batch == 1) & (kind == 3))
    assert batch_disagreement(points[keep], batch[keep], kind[keep]).total < 0.01


def test_types_merged_across_batches_are_disagreement():
    points, batch, kind = blobs()
    merged = np.where((batch == 1) & (kind < 2), 1 - kind, kind)  # types 0 and 1 swap places in one batch
    found = batch_disagreement(points, batch, merged)
    assert found.total > 0.15
    assert (found.of_metacell[:2] > 0.3).all()
    assert found.of_metacell[:2].min() > 2 * found.of_metacell[2:].max()


def test_noise_is_no_disagreement():
    """Random metacells do not differ, so the batches can neither agree nor disagree."""
    rng = np.random.default_rng(0)
    batch, metacell = rng.integers(3, size=3000), rng.integers(5, size=3000)
    found = batch_disagreement(rng.normal(size=(3000, 4)), batch, metacell)
    assert 0 <= found.total <= 1
    truth = rng.normal(size=(5, 4))
    assert batch_disagreement(rng.normal(size=(3000, 4)) + truth[metacell], batch, metacell).total < 0.02


@pytest.mark.parametrize("n", [1, MIN_CELLS, 40])
def test_disagreement_needs_two_batches_and_enough_cells(n):
    points = np.random.default_rng(0).normal(size=(2 * n, 3))
    alone = batch_disagreement(points, np.zeros(2 * n, int), np.arange(2 * n) % 2)
    assert alone.total == 0
    assert np.isnan(alone.of_metacell).all()
    private = batch_disagreement(points, np.arange(2 * n) % 2, np.arange(2 * n) % 2)
    assert private.total == 0
    assert np.isnan(private.of_metacell).all()


def test_private_metacells_are_apart_and_shared_ones_are_not():
    points, batch, kind = blobs(shift=0.3)
    assert apart_from_partner(points, batch, kind).mean() < 0.01
    assert apart_from_partner(points, batch, kind * N_BATCHES + batch).mean() > 0.5


def test_a_type_of_a_single_batch_is_not_apart():
    points, batch, kind = blobs(shift=0.3)
    keep = (kind != 0) | (batch == 0)
    apart = apart_from_partner(points[keep], batch[keep], kind[keep])
    assert apart.mean() < 0.1


def test_apart_equals_a_loop():
    from scproto.graph import mutual_neighbors

    points, batch, kind = blobs(shift=0.3)
    metacell = np.where(kind == 0, batch, kind + N_BATCHES)
    graph = mutual_neighbors(points, batch, 5)
    pairs = np.split(graph.indices, graph.indptr[1:-1])
    size = np.array([[((metacell == m) & (batch == b)).sum() for b in range(N_BATCHES)] for m in range(7)])
    share = size / size.sum(0)
    for cell, apart in enumerate(apart_from_partner(points, batch, metacell, n_neighbors=5)):
        own = share[metacell[cell]]
        partners = pairs[cell].tolist()
        absent = sum(own[batch[p]] < 0.1 * own.max() for p in partners)
        assert apart == (absent > len(partners) / 2)


def test_one_batch_has_no_partners():
    points, _, kind = blobs()
    assert not apart_from_partner(points, np.zeros(len(kind), int), kind).any()
