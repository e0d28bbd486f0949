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


@settings(deadline=None, max_examples=40)
@given(batch_size=st.integers(1, 12), steps=st.integers(1, 9), n_epochs=st.integers(1, 4))
def test_every_cell_comes_equally_often(batch_size, steps, n_epochs):
    anchors = epochs(sampler(batch_size, steps), n_epochs)[:, 0]
    times = np.bincount(anchors.ravel(), minlength=10)
    assert times.max() - times.min() <= 1
    assert times.sum() == n_epochs * steps * min(batch_size, 10)


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
