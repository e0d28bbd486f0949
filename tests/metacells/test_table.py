from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from scproto.metacells import assign
from scproto.metacells.table import complete, sum_counts


def unit_rows(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def blocks(counts: np.ndarray, size: int):
    for start in range(0, len(counts), size):
        cells = slice(start, min(start + size, len(counts)))
        yield cells, sparse.csr_matrix(counts[cells])


@settings(deadline=None, max_examples=50)
@given(
    n_cells=st.integers(1, 20),
    n_prototypes=st.integers(1, 8),
    size=st.integers(1, 25),
    dtype=st.sampled_from([np.float32, np.uint8, np.int64]),
    seed=st.integers(0, 99),
)
def test_counts_are_summed_cell_by_cell_whatever_the_blocks(n_cells, n_prototypes, size, dtype, seed):
    rng = np.random.default_rng(seed)
    prototypes, unit = (unit_rows(rng.normal(size=(n, 3))) for n in (n_prototypes, n_cells))
    counts = rng.poisson(1.0, (n_cells, 5)).astype(dtype)
    assignment = assign(unit, prototypes)
    total, smooth = sum_counts(blocks(counts, size), assignment)
    used = sorted(set(assignment.metacell.tolist()))
    expected, weighted = np.zeros((len(used), 5)), np.zeros((len(used), 5))
    probability = assignment.probability.toarray()
    for cell in range(n_cells):
        expected[used.index(assignment.metacell[cell])] += counts[cell]
        for row, metacell in enumerate(used):
            weighted[row] += probability[cell, metacell] * counts[cell]
    np.testing.assert_array_equal(total.toarray(), expected)
    np.testing.assert_allclose(smooth, weighted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("modelled", [[True, True, True], [True, False, True], [False, False, False]])
def test_the_decoder_divides_the_total_of_the_modelled_genes(modelled):
    modelled = np.array(modelled)
    smooth = np.array([[6.0, 3.0, 1.0], [0.0, 0.0, 0.0]], np.float32)
    shares = np.full((2, modelled.sum()), 1 / max(modelled.sum(), 1), np.float32)
    rate = complete(shares, smooth, modelled)
    own = smooth[0, modelled].sum() / 10
    for gene in range(3):
        expected = own / modelled.sum() if modelled[gene] else smooth[0, gene] / 10
        assert rate[0, gene] == pytest.approx(1e4 * expected)
    assert (rate[1] == 0).all()  # metacell without counts
