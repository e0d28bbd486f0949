"""Selecting the model's genes from the counts of all genes."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scproto.data import reader
from scproto.data.reader import select_genes


@st.composite
def counts_and_genes(draw):
    shape = draw(st.tuples(st.integers(0, 9), st.integers(1, 7)))
    dense = draw(hnp.arrays(np.float32, shape, elements=st.sampled_from([0, 0, 1, 2, 255])))
    order = draw(st.permutations(range(shape[1])))
    return dense, np.array(order[: draw(st.integers(0, shape[1]))], dtype=np.int64)


@given(data=counts_and_genes(), size=st.integers(1, 10))
def test_selected_genes_equal_those_of_the_dense_matrix(data, size):
    dense, genes = data
    before = sp.csr_matrix(dense)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "BLOCK_CELLS", size)
        patch.setattr(reader, "BLOCK_VALUES", size)
        chosen = select_genes(before, genes, np.uint8)
    assert chosen.dtype == np.uint8
    assert chosen.shape == (len(dense), len(genes))
    np.testing.assert_array_equal(chosen.toarray(), dense[:, genes])
    np.testing.assert_array_equal(before.toarray(), dense)


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_indices_are_of_the_smallest_type(index):
    counts = sp.csr_matrix(np.eye(3, dtype=np.float32))
    counts.indices, counts.indptr = counts.indices.astype(index), counts.indptr.astype(index)
    chosen = select_genes(counts, np.array([2, 0]), np.uint8)
    assert chosen.indices.dtype == chosen.indptr.dtype == np.int32
    np.testing.assert_array_equal(chosen.toarray(), [[0, 1], [0, 0], [1, 0]])
