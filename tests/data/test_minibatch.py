from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from scproto.data.minibatch import encoder_input, make_minibatch

VIEWS = np.array([[3, 0, 4, 4], [1, 2, 4, 0]])
BATCH = np.array([0, 0, 1, 1, 2])


@pytest.fixture
def counts() -> np.ndarray:
    """Five cells; the last one has no count."""
    counts = np.random.default_rng(0).poisson(1.5, (5, 12)).astype(np.float32)
    counts[4] = 0
    return counts


def normalised(counts: np.ndarray) -> np.ndarray:
    """log1p CP10k of unit norm, densely."""
    x = np.log1p(1e4 * counts / np.maximum(counts.sum(1, keepdims=True), 1))
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def test_input_of_the_encoder(counts):
    x, x_transposed = encoder_input(sp.csr_matrix(counts))
    np.testing.assert_allclose(x.to_dense().numpy(), normalised(counts), rtol=1e-5)
    assert torch.equal(x_transposed.to_dense(), x.to_dense().T)
    assert x.layout == x_transposed.layout == torch.sparse_csr
    np.testing.assert_allclose(x.to_dense().norm(dim=1).numpy(), [1, 1, 1, 1, 0], rtol=1e-5)


def test_counts_are_left_alone(counts):
    matrix = sp.csr_matrix(counts)
    make_minibatch(matrix, BATCH, VIEWS)
    encoder_input(matrix)
    np.testing.assert_array_equal(matrix.toarray(), counts)


@pytest.mark.parametrize("n_views", [1, 2])
def test_all_views_are_gathered_anchors_first(counts, n_views):
    views = VIEWS[:n_views]
    minibatch = make_minibatch(sp.csr_matrix(counts), BATCH, views)
    expected = normalised(counts)[views.ravel()]
    np.testing.assert_allclose(minibatch.x.to_dense().numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(minibatch.x_transposed.to_dense().numpy(), expected.T, rtol=1e-5)
    np.testing.assert_array_equal(minibatch.batch.numpy(), BATCH[views])


@pytest.mark.parametrize("n_views", [1, 2])
def test_coordinates_hold_the_counts_of_the_anchors(counts, n_views):
    minibatch = make_minibatch(sp.csr_matrix(counts), BATCH, VIEWS[:n_views])
    dense = np.zeros((4, 12))
    np.add.at(dense, (minibatch.rows.numpy(), minibatch.columns.numpy()), minibatch.counts.numpy())
    np.testing.assert_array_equal(dense, counts[VIEWS[0]])
    assert minibatch.rows.dtype == minibatch.columns.dtype == torch.int64
    np.testing.assert_array_equal(minibatch.library.numpy(), np.maximum(counts[VIEWS[0]].sum(1), 1))


def test_all_cells_empty():
    minibatch = make_minibatch(sp.csr_matrix((5, 12), dtype=np.float32), BATCH, VIEWS)
    assert minibatch.x.to_dense().abs().sum() == 0
    assert len(minibatch.rows) == len(minibatch.counts) == 0
    assert minibatch.library.tolist() == [1] * 4


def test_moves_as_a_whole(counts):
    minibatch = make_minibatch(sp.csr_matrix(counts), BATCH, VIEWS)
    moved = minibatch.to("cpu")
    assert torch.equal(moved.x.to_dense(), minibatch.x.to_dense())
    assert moved.to("meta").counts.device.type == "meta"
