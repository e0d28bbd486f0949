"""The summary in one pass equals that of a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import sparse

from scproto.counts import examine

MATRICES = npst.arrays(
    np.float64,
    npst.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.sampled_from([0, 1, 2.5, -1, 7, 2.0005, 3.002]),
)


@given(x=MATRICES, block=st.sampled_from([1, 5, 1 << 21]))
def test_equals_a_loop(x, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scproto.counts.values.BLOCK_VALUES", block)
        found = examine(sparse.csr_matrix(x))
    assert found.lowest == min(0, x.min())
    assert found.highest == max(0, x.max())
    assert found.whole == all(float(value).is_integer() for value in x.ravel())
    assert found.nearly_whole == all(abs(value - round(value)) < 0.0011 for value in x.ravel())
    assert found.varies == any(len(set(column)) > 1 for column in x.T)
    np.testing.assert_allclose(found.cell_totals, [sum(row) for row in x])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [(0, 1), (3, 2)], ids=["first", "last"])
@pytest.mark.parametrize("block", [1, 1 << 21])
def test_non_finite_values_are_found(monkeypatch, value, where, block):
    monkeypatch.setattr("scproto.counts.values.BLOCK_VALUES", block)
    x = np.eye(4)
    x[where] = value
    found = examine(sparse.csr_matrix(x))
    assert not np.isfinite([found.lowest, found.highest]).all()


def test_whole_numbers_of_any_type():
    for dtype in (np.uint8, np.int64, np.float32):
        found = examine(sparse.csr_matrix(np.eye(3, dtype=dtype)))
        assert found.whole
        assert found.nearly_whole
