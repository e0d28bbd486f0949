"""Fractional counts become whole counts, and genes keep their mean."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from scproto.counts import round_near, round_stochastically


def fractional(n_cells=40, n_genes=30, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.poisson(1.0, (n_cells, n_genes)) * rng.uniform(0.2, 1.0, (n_cells, n_genes))
    x[3] = 0
    return sparse.csr_matrix(x)


def test_nearly_whole_values_become_whole():
    x = np.array([[0.9996, 0, 3.0004], [0, 2.0, 0.0004]])
    given = sparse.csr_matrix(x)
    found = round_near(given)
    np.testing.assert_array_equal(found.toarray(), [[1, 0, 3], [0, 2, 0]])
    assert found.nnz == 3
    np.testing.assert_array_equal(given.toarray(), x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_value_is_rounded_up_or_down(dtype):
    x = fractional().astype(dtype)
    found = round_stochastically(x, 0)
    dense, rounded = x.toarray(), found.toarray()
    assert ((rounded == np.floor(dense)) | (rounded == np.ceil(dense))).all()
    assert (found.data != 0).all()
    assert found.has_canonical_format
    whole = dense == np.floor(dense)
    np.testing.assert_array_equal(rounded[whole], dense[whole])


def test_the_mean_over_seeds_is_the_value():
    x = fractional()
    n = 2000
    mean = sum(round_stochastically(x, seed).toarray() for seed in range(n)) / n
    fraction = x.toarray() % 1
    error = np.sqrt(fraction * (1 - fraction) / n)
    assert (np.abs(mean - x.toarray()) <= 5 * error + 1e-12).all()


def test_a_gene_keeps_its_mean_where_all_cells_have_nearly_the_same_value():
    x = sparse.csr_matrix(np.full((4000, 3), 0.3) + np.arange(4000)[:, None] * 1e-9)
    np.testing.assert_allclose(round_stochastically(x, 0).toarray().mean(axis=0), 0.3, atol=0.03)


def test_rounding_does_not_depend_on_the_other_cells():
    x = fractional()
    order = np.random.default_rng(1).permutation(x.shape[0])[:20]
    found = round_stochastically(x, 5)
    np.testing.assert_array_equal(round_stochastically(x[order], 5).toarray(), found[order].toarray())


@pytest.mark.parametrize("block", [1, 7])
def test_block_size_does_not_matter(monkeypatch, block):
    x = fractional()
    expected = round_stochastically(x, 2).toarray()
    monkeypatch.setattr("scproto.counts.values.BLOCK_VALUES", block)
    np.testing.assert_array_equal(round_stochastically(x, 2).toarray(), expected)


def test_the_seed_decides_and_the_input_is_unchanged():
    x = fractional()
    before = x.toarray()
    first, again, other = (round_stochastically(x, seed).toarray() for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(x.toarray(), before)


def test_nothing_to_round():
    assert round_stochastically(sparse.csr_matrix((3, 4)), 0).nnz == 0
