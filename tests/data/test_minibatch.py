from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scproto.counts.normalise import library_size
from scproto.data.memory import MemoryCells
from scproto.data.minibatch import DENSE_ABOVE, counts_of_genes, encoder_input, gather, normalise, training_input
from scproto.data.sampler import Request

SPARSE, DENSE = 1.0, 0.0
"""Values of `DENSE_ABOVE` with which no input is dense, or every input with a count."""


@pytest.fixture
def counts() -> np.ndarray:
    """Five cells; the last one has no count."""
    counts = np.random.default_rng(0).poisson(1.5, (5, 12)).astype(np.float32)
    counts[4] = 0
    return counts


def naive_normalised(counts: np.ndarray) -> np.ndarray:
    """log1p CP10k of unit norm, cell by cell."""
    result = np.zeros(counts.shape)
    for cell, row in enumerate(counts.tolist()):
        logs = [math.log1p(1e4 * count / max(sum(row), 1)) for count in row]
        norm = math.sqrt(sum(value**2 for value in logs))
        result[cell] = [value / norm if norm else 0.0 for value in logs]
    return result


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
def test_normalised_cells_equal_a_loop(counts, dtype):
    x = normalise(sp.csr_matrix(counts.astype(dtype)))
    np.testing.assert_allclose(x.toarray(), naive_normalised(counts), rtol=1e-5)
    assert x.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(x.toarray(), axis=1), [1, 1, 1, 1, 0], rtol=1e-5)


@pytest.mark.parametrize("n_cells", [1, 3])
def test_cells_without_a_count_are_normalised_to_zero(n_cells):
    x = normalise(sp.csr_matrix((n_cells, 12), dtype=np.float32))
    assert x.shape == (n_cells, 12)
    assert x.nnz == 0


def test_one_cell_with_one_count():
    x = normalise(sp.csr_matrix(np.array([[0, 1, 0]], np.float32)))
    np.testing.assert_allclose(x.toarray(), [[0, 1, 0]], rtol=1e-6)


def test_a_cell_with_only_a_stored_zero_is_normalised_to_zero():
    x = normalise(sp.csr_matrix((np.array([0.0, 3.0], np.float32), [1, 0], [0, 1, 1, 2, 2]), (4, 2)))
    np.testing.assert_allclose(x.toarray(), [[0, 0], [0, 0], [1, 0], [0, 0]], rtol=1e-6)


def test_normalising_a_cell_does_not_depend_on_the_other_cells(counts):
    whole = normalise(sp.csr_matrix(counts))
    for cell in range(5):
        alone = normalise(sp.csr_matrix(counts[[cell]]))
        np.testing.assert_array_equal(alone.toarray(), whole[[cell]].toarray())


def test_the_total_count_of_a_cell_may_include_other_genes(counts):
    library = np.maximum(counts.sum(1), 1).astype(np.float32)
    np.testing.assert_array_equal(
        normalise(sp.csr_matrix(counts), library).toarray(), normalise(sp.csr_matrix(counts)).toarray()
    )
    half = normalise(sp.csr_matrix(counts[:, :6]), library).toarray()
    expected = np.log1p(1e4 * counts[:, :6] / library[:, np.newaxis])
    expected /= np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1e-30)
    np.testing.assert_allclose(half, expected, rtol=1e-5)


@pytest.mark.parametrize("block", [1, 2, 5, 100])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
def test_the_total_count_of_a_cell_equals_a_loop_for_any_block_size(counts, monkeypatch, dtype, block):
    monkeypatch.setattr("scproto.counts.normalise.BLOCK_CELLS", block)
    library = library_size(sp.csr_matrix(counts.astype(dtype)))
    np.testing.assert_array_equal(library, [max(row.sum(), 1) for row in counts])
    assert library.dtype == np.float32


def test_the_total_count_of_an_empty_cell_is_one():
    assert library_size(sp.csr_matrix((3, 12), dtype=np.float32)).tolist() == [1, 1, 1]
    stored_zero = sp.csr_matrix((np.array([0.0, 3.0], np.float32), [1, 0], [0, 1, 1, 2, 2]), (4, 2))
    assert library_size(stored_zero).tolist() == [1, 1, 3, 1]


def test_counts_are_not_changed(counts):
    matrix = sp.csr_matrix(counts)
    x = normalise(matrix)
    training_input(x)
    counts_of_genes(matrix, 5, np.array([3, 1]))
    np.testing.assert_array_equal(matrix.toarray(), counts)
    assert np.shares_memory(x.indices, matrix.indices)  # not copied


@pytest.mark.parametrize("rows", [slice(0, 5), slice(1, 2), slice(4, 5)], ids=["all", "one_cell", "one_empty_cell"])
def test_sparse_input_comes_with_its_transpose_in_training(counts, monkeypatch, rows):
    monkeypatch.setattr("scproto.data.minibatch.DENSE_ABOVE", SPARSE)
    x, x_transposed = training_input(sp.csr_matrix(counts[rows]))
    assert torch.equal(encoder_input(sp.csr_matrix(counts[rows])).to_dense(), x.to_dense())
    assert x.layout == x_transposed.layout == torch.sparse_csr
    assert x.dtype == torch.float32
    np.testing.assert_array_equal(x.to_dense().numpy(), counts[rows])
    assert torch.equal(x_transposed.to_dense(), x.to_dense().T)


@pytest.mark.parametrize("rows", [slice(0, 5), slice(1, 2)], ids=["all", "one_cell"])
def test_dense_input_comes_without_a_transpose(counts, monkeypatch, rows):
    monkeypatch.setattr("scproto.data.minibatch.DENSE_ABOVE", DENSE)
    x, x_transposed = training_input(sp.csr_matrix(counts[rows]))
    assert x_transposed is None
    assert x.layout == torch.strided
    assert x.dtype == torch.float32
    np.testing.assert_array_equal(x.numpy(), counts[rows])


def test_input_is_dense_above_a_share_of_non_zero_entries():
    """At exactly this share it is still sparse."""
    n_stored = round(DENSE_ABOVE * 200)
    x = np.zeros(200, np.float32)
    for n, dense in [(0, False), (n_stored, False), (n_stored + 1, True), (200, True)]:
        x[:n] = 1
        assert (encoder_input(sp.csr_matrix(x.reshape(10, 20))).layout == torch.strided) == dense


def naive_counts_of_genes(
    counts: sp.csr_matrix, n_cells: int, genes: list[int]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...]]:
    """Walk along the stored counts of the first cells and keep those of the genes."""
    kept = []
    for row in range(n_cells):
        for entry in range(counts.indptr[row], counts.indptr[row + 1]):
            if counts.indices[entry] in genes:
                kept.append((row, genes.index(counts.indices[entry]), float(counts.data[entry])))
    return tuple(zip(*kept, strict=True)) if kept else ((), (), ())


@st.composite
def matrices_and_genes(draw):
    """Counts in which some rows may be empty, a number of cells, and some of the genes in any order."""
    n_cells, n_genes = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    dense = rng.poisson(draw(st.sampled_from([0.0, 0.3, 3.0])), (n_cells, n_genes))
    dense[rng.random(n_cells) < 0.3] = 0
    genes = draw(st.permutations(range(n_genes)))[: draw(st.integers(0, n_genes))]
    return dense.astype(draw(st.sampled_from([np.float32, np.int64, np.uint8]))), draw(st.integers(0, n_cells)), genes


@settings(deadline=None, max_examples=200)
@given(matrices_and_genes())
def test_counts_of_genes_equal_a_loop(drawn):
    dense, n_cells, genes = drawn
    matrix = sp.csr_matrix(dense)
    rows, columns, values = counts_of_genes(matrix, n_cells, np.array(genes, np.int64))
    assert (rows.dtype, columns.dtype, values.dtype) == (np.int64, np.int64, np.float32)
    assert (tuple(rows), tuple(columns), tuple(values)) == naive_counts_of_genes(matrix, n_cells, genes)
    found = np.zeros((n_cells, len(genes)))
    found[rows, columns] = values
    np.testing.assert_array_equal(found, dense[:n_cells, genes])


def test_stored_zeros_stay_stored():
    matrix = sp.csr_matrix((np.array([0.0, 2.0], np.float32), np.array([1, 0]), np.array([0, 1, 2])), (2, 2))
    found = counts_of_genes(matrix, 2, np.array([1, 0]))
    assert [part.tolist() for part in found] == [[0, 1], [0, 1], [0, 2]]


VIEWS = np.array([[3, 0, 4, 4], [1, 2, 4, 0]])
BATCH = np.array([0, 0, 1, 1, 2])
GENES = {"all": np.arange(12), "some": np.array([7, 0, 11, 2]), "one": np.array([5]), "none": np.arange(0)}


@pytest.fixture
def few(counts) -> MemoryCells:
    return MemoryCells(sp.csr_matrix(counts), BATCH)


@pytest.mark.parametrize("dense_above", [SPARSE, DENSE], ids=["sparse", "dense"])
@pytest.mark.parametrize("n_views", [1, 2])
def test_all_views_are_gathered_with_the_anchors_first(few, counts, monkeypatch, n_views, dense_above):
    monkeypatch.setattr("scproto.data.minibatch.DENSE_ABOVE", dense_above)
    views = VIEWS[:n_views]
    minibatch = gather(few, Request(views, GENES["some"]))
    expected = normalise(sp.csr_matrix(counts)).toarray()[views.ravel()]
    np.testing.assert_array_equal(minibatch.x.to_dense().numpy(), expected)
    if dense_above:
        np.testing.assert_array_equal(minibatch.x_transposed.to_dense().numpy(), expected.T)
    else:
        assert minibatch.x_transposed is None
    np.testing.assert_array_equal(minibatch.batch.numpy(), BATCH[views])


@pytest.mark.parametrize("genes", GENES.values(), ids=GENES)
@pytest.mark.parametrize("views", [VIEWS[:1], VIEWS, VIEWS[:, :1], VIEWS[:, 2:3]], ids=["1", "2", "cell", "empty"])
def test_coordinates_give_the_counts_of_the_anchors_in_the_decoded_genes(few, counts, views, genes):
    minibatch = gather(few, Request(views, genes))
    dense = np.zeros((views.shape[1], len(genes)))
    np.add.at(dense, (minibatch.rows.numpy(), minibatch.columns.numpy()), minibatch.counts.numpy())
    np.testing.assert_array_equal(dense, counts[views[0]][:, genes])
    np.testing.assert_array_equal(minibatch.genes.numpy(), genes)
    assert minibatch.rows.dtype == minibatch.columns.dtype == minibatch.genes.dtype == torch.int64
    assert minibatch.counts.dtype == minibatch.library.dtype == torch.float32


@pytest.mark.parametrize("genes", GENES.values(), ids=GENES)
def test_library_counts_all_genes_not_only_the_decoded_ones(few, counts, genes):
    minibatch = gather(few, Request(VIEWS, genes))
    np.testing.assert_array_equal(minibatch.library.numpy(), np.maximum(counts[VIEWS[0]].sum(1), 1))


def test_a_minibatch_of_empty_cells():
    minibatch = gather(MemoryCells(sp.csr_matrix((5, 12), dtype=np.float32), BATCH), Request(VIEWS, GENES["some"]))
    assert minibatch.x.to_dense().abs().sum() == 0
    assert len(minibatch.rows) == len(minibatch.columns) == len(minibatch.counts) == 0
    assert minibatch.library.tolist() == [1] * 4


def test_a_minibatch_is_a_copy(few, counts, monkeypatch):
    monkeypatch.setattr("scproto.data.minibatch.DENSE_ABOVE", 1.0)
    minibatch = gather(few, Request(np.arange(5)[None], GENES["all"]))
    for values in (minibatch.counts, minibatch.library, minibatch.x.values()):
        values.zero_()
    np.testing.assert_array_equal(few.counts.toarray(), counts)
    np.testing.assert_array_equal(few.library, np.maximum(counts.sum(1), 1))
