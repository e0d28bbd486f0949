from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scproto.data.views import ViewSampler
from scproto.graph import KnnGraph

# Ten cells: 0 to 4 in one batch, 5 to 9 in another. The last of each has no neighbour.
TABLE = [[1, 2], [0, 2], [1, 3], [0, 4], [-1, -1], [6, 7], [5, 7], [6, 8], [5, 9], [-1, -1]]
WITHIN = KnnGraph(np.array(TABLE))
CROSS = KnnGraph.from_pairs(np.array([0, 5, 4, 9]), np.array([5, 0, 9, 4]), 10)


def sampler(batch_size: int = 4, steps: int = 5, *, paired: bool = True, **arguments) -> ViewSampler:
    result = ViewSampler(WITHIN, batch_size, steps, **arguments)
    result.paired = paired
    return result


def epochs(of: ViewSampler, n: int = 1) -> np.ndarray:
    """All minibatches, ``(n * steps, n_views, n_cells)``."""
    return np.concatenate([np.stack(list(of)) for _ in range(n)])


@pytest.mark.parametrize("paired", [False, True], ids=["cells_alone", "pairs"])
@pytest.mark.parametrize("batch_size", [1, 4, 10, 64])
def test_shapes(paired, batch_size):
    views = sampler(batch_size, 3, paired=paired)
    assert len(views) == 3
    assert epochs(views).shape == (3, 1 + paired, min(batch_size, 10))


WEIGHTS = st.one_of(
    st.just([1.0] * 10),
    st.just([0.0, 2.0] * 5),
    st.just([1.0] * 9 + [0.0]),
    st.just([1e-6] * 9 + [1.0]),
    st.lists(st.floats(0, 100, width=32), min_size=10, max_size=10).filter(lambda w: sum(w) > 0.01),
)


@settings(deadline=None, max_examples=200)
@given(batch_size=st.integers(1, 12), steps=st.integers(1, 9), weights=WEIGHTS, seed=st.integers(0, 99))
def test_a_cell_comes_as_often_as_its_weight_says_up_or_down_to_an_integer(batch_size, steps, weights, seed):
    views = sampler(batch_size, steps, seed=seed)
    views.weights = np.array(weights, np.float32)
    for _ in range(2):
        anchors = epochs(views)[:, 0].ravel()
        times, share = np.bincount(anchors, minlength=10), len(anchors) * views.weights / np.sum(weights)
        assert len(anchors) == steps * min(batch_size, 10)
        assert (times >= np.floor(share - 1e-5)).all()
        assert (times <= np.ceil(share + 1e-5)).all()
        assert not times[views.weights == 0].any()


def test_all_cells_come_equally_often_by_themselves():
    assert (np.bincount(epochs(sampler(10, 7))[:, 0].ravel()) == 7).all()


def naive_systematic_sample(weights, n, rng):
    """Walk along the cells in random order and take whoever stands at the next tick."""
    order, start = rng.permutation(len(weights)), rng.random()
    drawn, end = [], 0.0
    for cell in order:
        end += weights[cell]
        while len(drawn) < n and (len(drawn) + start) * sum(weights) / n < end:
            drawn.append(cell)
    return np.array(drawn)[rng.permutation(n)]


@pytest.mark.parametrize("seed", range(5))
def test_anchors_are_a_systematic_sample(seed):
    views = sampler(4, 5, seed=seed)
    views.weights = np.array([0.1, 3.0, 0.0, 1.0, 1.0, 0.5, 7.0, 0.0, 0.25, 2.0])
    expected = naive_systematic_sample(views.weights.tolist(), 20, np.random.default_rng(seed))
    np.testing.assert_array_equal(epochs(views)[:, 0].ravel(), expected)


def test_a_cell_of_small_weight_comes_in_its_share_of_the_epochs():
    views = sampler(1, 1)
    views.weights = np.array([1.0] * 9 + [3.0])
    times = np.bincount(epochs(views, 2400)[:, 0].ravel(), minlength=10)
    np.testing.assert_allclose(times, 200 * views.weights, atol=60)


def test_a_heavy_cell_is_spread_over_the_minibatches():
    views = sampler(10, 20)
    views.weights = np.array([11.0] + [1.0] * 9)  # 110 of 200
    of_minibatch = (epochs(views)[:, 0] == 0).sum(1)
    assert of_minibatch.max() < 10
    assert of_minibatch.min() > 0


def test_epochs_are_shuffled_anew():
    views = sampler(10, 1)
    assert not np.array_equal(epochs(views)[0, 0], epochs(views)[0, 0])


def test_seed_decides():
    first, again, other = (epochs(sampler(seed=seed), 2) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def pairs(of: ViewSampler) -> list[tuple[int, int]]:
    views = epochs(of, 60)
    return list(zip(views[:, 0].ravel().tolist(), views[:, 1].ravel().tolist(), strict=True))


def allowed(cell: int, graph: KnnGraph) -> set[int]:
    found = {i for i in graph.indices[cell].tolist() if i >= 0}
    return found or {cell}


def test_partners_are_neighbours_of_the_same_batch():
    seen: dict[int, set[int]] = {}
    for cell, partner in pairs(sampler()):
        seen.setdefault(cell, set()).add(partner)
    assert seen == {cell: allowed(cell, WITHIN) for cell in range(10)}


def test_other_batches_only_for_cells_that_have_somebody_there():
    views = sampler(cross_share=1.0)
    views.cross = CROSS
    seen: dict[int, set[int]] = {}
    for cell, partner in pairs(views):
        seen.setdefault(cell, set()).add(partner)
    has_cross = {0, 4, 5, 9}
    assert seen == {cell: allowed(cell, CROSS if cell in has_cross else WITHIN) for cell in range(10)}


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5])
def test_share_of_the_draws_from_other_batches(share):
    views = sampler(cross_share=share)
    views.cross = CROSS
    crossed = [partner == 5 for cell, partner in pairs(views) if cell == 0]
    assert len(crossed) == 120
    assert np.mean(crossed) == pytest.approx(share, abs=0.12 if share else 0)
