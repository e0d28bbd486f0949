from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from scproto.data import halves
from scproto.data.memory import MemoryCells
from scproto.metrics.held_out import split_counts


@pytest.mark.parametrize("size", [1, 7, 100])
def test_the_split_does_not_depend_on_the_size_of_the_blocks(monkeypatch, size):
    monkeypatch.setattr(halves, "BLOCK_CELLS", size)
    counts = sp.csr_matrix(np.random.default_rng(0).poisson(2.0, (30, 6)).astype(np.uint8))
    cells = MemoryCells(counts, np.arange(30) % 2)
    seen, held_out = halves.split(cells, np.random.default_rng(3), 0.8)
    expected = split_counts(counts, np.random.default_rng(3), 0.8)
    np.testing.assert_array_equal(seen.counts.toarray(), expected[0].toarray())
    np.testing.assert_array_equal(held_out.toarray(), expected[1].toarray())
    np.testing.assert_array_equal(seen.batch, cells.batch)
    np.testing.assert_array_equal(seen.counts.toarray() + held_out.toarray(), counts.toarray())
