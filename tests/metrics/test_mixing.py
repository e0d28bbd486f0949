from __future__ import annotations

import numpy as np
import pytest

from scproto.metrics.mixing import MIN_CELLS, apart_from_partner, batch_disagreement, structure_kept

N_BATCHES, N_TYPES, N_EACH, N_DIMS = 3, 4, 40, 8


def blobs(seed: int = 0, shift: float = 3.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, batch and type of cells; a type has the same place in each batch, up to a shift of the batch."""
    rng = np.random.default_rng(seed)
    batch = np.repeat(np.arange(N_BATCHES), N_TYPES * N_EACH)
    kind = np.tile(np.repeat(np.arange(N_TYPES), N_EACH), N_BATCHES)
    centre, moved = 6 * rng.normal(size=(N_TYPES, N_DIMS)), shift * rng.normal(size=(N_BATCHES, N_DIMS))
    return centre[kind] + moved[batch] + rng.normal(size=(len(kind), N_DIMS)), batch, kind


def test_structure_is_kept_by_true_types_and_lost_by_random_metacells():
    points, batch, kind = blobs()
    assert structure_kept(points, batch, kind) == pytest.approx(1, abs=1e-6)
    assert structure_kept(points, batch, kind * N_BATCHES + batch) == pytest.approx(1, abs=1e-6)
    assert structure_kept(points, batch, kind // 2) < 0.9
    random = np.random.default_rng(0).integers(N_TYPES, size=len(batch))
    assert structure_kept(points, batch, random) == pytest.approx(0, abs=0.05)


def test_structure_equals_the_naive_loop(monkeypatch):
    points, batch, kind = blobs()
    monkeypatch.setattr("scproto.metrics.mixing._kmeans", lambda x, n_clusters, seed: np.arange(len(x)) % n_clusters)
    metacell = (kind + np.arange(len(kind)) % 3) % N_TYPES

    def explained(x: np.ndarray, group: np.ndarray) -> float:
        total = sum(((row - x.mean(0)) ** 2).sum() for row in x)
        left = sum(((row - x[group == g].mean(0)) ** 2).sum() for row, g in zip(x, group, strict=True))
        return total - left - total * (len(set(group)) - 1) / (len(x) - 1)

    ours = best = 0.0
    for b in range(N_BATCHES):
        x = points[batch == b]
        ours += explained(x, metacell[batch == b])
        best += explained(x, np.arange(len(x)) % N_TYPES)
    expected = ours / best if best > 0 else 1.0
    assert structure_kept(points, batch, metacell) == pytest.approx(expected, rel=1e-6)


def test_structure_is_fully_kept_if_there_is_none():
    points, batch, _ = blobs()
    assert structure_kept(points, batch, np.zeros(len(batch), int)) == 1
    assert structure_kept(np.ones_like(points), batch, np.arange(len(batch)) % 3) == 1
    assert structure_kept(points[:1], batch[:1], np.zeros(1, int)) == 1


def test_a_shift_of_a_whole_batch_is_not_disagreement():
    points, batch, kind = blobs()
    assert batch_disagreement(points, batch, kind).total < 0.01


def test_unequal_composition_is_not_disagreement():
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


def test_noise_is_not_disagreement():
    """Random metacells do not differ, so batches can neither agree nor disagree; real ones differ despite noise."""
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


def test_single_cells_cannot_disagree():
    points = np.random.default_rng(0).normal(size=(20, 3))
    assert batch_disagreement(points, np.arange(20) % 4, np.arange(20) // 4).total == 0


def test_cells_of_single_batch_metacells_are_apart_and_those_of_shared_ones_are_not():
    points, batch, kind = blobs(shift=0.3)
    assert np.nanmean(apart_from_partner(points, batch, kind)) < 0.01
    assert np.nanmean(apart_from_partner(points, batch, kind * N_BATCHES + batch)) > 0.5


def test_cells_of_a_type_that_only_one_batch_has_are_not_apart():
    points, batch, kind = blobs(shift=0.3)
    keep = (kind != 0) | (batch == 0)
    apart = apart_from_partner(points[keep], batch[keep], kind[keep])
    assert np.nanmean(apart) < 0.1


def test_apart_equals_the_naive_loop():
    """The pairs of one batch are compared with those of random halves of the two metacells."""
    from scproto.graph import mutual_neighbors

    points, batch, kind = blobs(shift=0.3)
    metacell = np.where(kind == 0, batch, np.where(kind == 1, N_BATCHES + (batch > 0), kind + N_BATCHES))
    graph = mutual_neighbors(points, batch, 5)
    rng = np.random.default_rng(0)

    def pairs_of_one_batch(first: np.ndarray, second: np.ndarray) -> int:
        return int((first[:, None] == second).sum())

    def differ(m: int, n: int) -> bool:
        first, second = batch[metacell == m], batch[metacell == n]
        random = []
        for _ in range(100):
            both = rng.permutation(np.append(first, second))
            random.append(pairs_of_one_batch(both[: len(first)], both[len(first) :]))
        return m != n and pairs_of_one_batch(first, second) < np.mean(random) / 4

    known = {(m, n): differ(m, n) for m in range(7) for n in range(7)}
    assert 0 < sum(known.values()) < 49
    found = apart_from_partner(points, batch, metacell, n_neighbors=5)
    for cell, partners in enumerate(np.split(graph.indices, graph.indptr[1:-1])):
        apart = [known[metacell[cell], metacell[p]] for p in partners]
        assert found[cell] == pytest.approx(np.mean(apart) if apart else np.nan, nan_ok=True)


def test_few_cells_are_not_apart_by_chance():
    """Metacells of five cells of three batches often have no batch in common; those of twenty cells of one batch do not
    differ by chance."""
    points, batch, kind = blobs(shift=0.3)
    rng = np.random.default_rng(0)
    small = kind * 24 + rng.integers(24, size=len(kind))
    assert np.nanmean(apart_from_partner(points, batch, small)) < 0.02
    large = (kind * N_BATCHES + batch) * 2 + rng.integers(2, size=len(kind))
    assert np.nanmean(apart_from_partner(points, batch, large)) > 0.5


def test_all_cells_can_be_counted_where_some_are_compared():
    points, batch, kind = blobs(shift=0.3)
    private = kind * N_BATCHES + batch
    counts = np.zeros((private.max() + 1, N_BATCHES), int)
    counts[private, batch] = 1
    assert np.nanmax(apart_from_partner(points, batch, private, counts=counts)) == 0
    assert np.nanmean(apart_from_partner(points, batch, private, counts=20 * counts)) > 0.5
    assert np.nanmax(apart_from_partner(points, batch, private, counts=20 * counts + 10)) == 0


def test_noise_of_few_cells_per_batch_is_not_disagreement():
    """One cell per batch and metacell on average."""
    rng = np.random.default_rng(0)
    batch, metacell = rng.integers(50, size=1500), rng.integers(30, size=1500)
    points = 2 * rng.normal(size=(30, 8))[metacell] + rng.normal(size=(1500, 8))
    found = batch_disagreement(points, batch, metacell)
    assert found.total < 0.02
    assert np.nanmax(found.of_metacell) < 0.2
    exchanged = np.where(batch < 25, (metacell + 1) % 30, metacell)
    assert batch_disagreement(points, batch, exchanged).total > 0.4


def test_structure_is_kept_if_batches_have_few_cells_per_metacell():
    """Two cells per batch and metacell; k-means with one cluster per two cells would explain the noise."""
    rng = np.random.default_rng(0)
    batch, metacell = rng.integers(20, size=1200), rng.integers(30, size=1200)
    points = rng.normal(size=(30, 20))[metacell] + rng.normal(size=(1200, 20))
    assert structure_kept(points, batch, metacell) > 0.95
    assert structure_kept(points, batch, rng.permutation(metacell)) < 0.1


def test_one_batch_has_no_partners():
    points, _, kind = blobs()
    assert np.isnan(apart_from_partner(points, np.zeros(len(kind), int), kind)).all()
