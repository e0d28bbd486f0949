from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp

from scproto.counts import normalise
from scproto.counts.normalise import log1p_cp10k, scale_genes


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("n_cells", [1, 6])
def test_log1p_cp10k_equals_a_loop(dtype, n_cells):
    counts = np.random.default_rng(0).poisson(1.5, (n_cells, 9)).astype(dtype)
    counts[-1] = 0 if n_cells > 1 else counts[-1]
    matrix = sp.csr_matrix(counts)
    x, library = log1p_cp10k(matrix)
    for cell, row in enumerate(counts.tolist()):
        expected = [math.log1p(1e4 * count / max(sum(row), 1)) for count in row]
        np.testing.assert_allclose(x[[cell]].toarray()[0], expected, rtol=1e-5)
        assert library[cell] == max(sum(row), 1)
    assert x.dtype == library.dtype == np.float32
    np.testing.assert_array_equal(matrix.toarray(), counts)
    assert np.shares_memory(x.indices, matrix.indices)


def test_log1p_cp10k_equals_scanpy():
    import scanpy as sc
    from anndata import AnnData

    counts = sp.csr_matrix(np.random.default_rng(1).poisson(0.7, (30, 20)).astype(np.float32))
    cells = AnnData(counts.copy())
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    np.testing.assert_allclose(log1p_cp10k(counts)[0].toarray(), cells.X.toarray(), rtol=1e-5)


@pytest.mark.parametrize("block", [1, 7, 1 << 21], ids=["entry", "some", "all"])
def test_genes_are_scaled_in_place(block, monkeypatch):
    monkeypatch.setattr(normalise, "BLOCK_VALUES", block)
    dense = np.random.default_rng(2).poisson(0.7, (11, 6)).astype(np.float32)
    x, scale = sp.csr_matrix(dense), np.array([0.0, 1.0, 0.5, 3.0, -1.0, 7.0])
    data = x.data
    scale_genes(x, scale)
    expected = [[value * factor for value, factor in zip(row, scale, strict=True)] for row in dense]
    np.testing.assert_array_equal(x.toarray(), expected)
    assert x.data is data
    assert x.dtype == np.float32


def test_no_genes_to_scale():
    empty = sp.csr_matrix((3, 2), dtype=np.float32)
    scale_genes(empty, np.ones(2))
    assert empty.nnz == 0
