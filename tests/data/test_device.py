"""Dense minibatches gathered on a device. Here it is the CPU, where they must equal the sparse ones."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scproto.data.device import DeviceCells
from scproto.data.memory import MemoryCells
from scproto.data.minibatch import gather, normalise
from scproto.data.sampler import Request
from scproto.network.module import PrototypeModule

CPU = torch.device("cpu")


def cells_of(dense: np.ndarray) -> MemoryCells:
    return MemoryCells(sp.csr_matrix(dense), np.arange(len(dense)) % 3)


@st.composite
def cells_and_requests(draw):
    """Counts in which some cells may be empty, and a request for any of the cells and genes; cells may repeat."""
    n_cells, n_genes, n_views = draw(st.integers(1, 6)), draw(st.integers(1, 9)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    dense = rng.poisson(draw(st.sampled_from([0.0, 0.3, 3.0])), (n_cells, n_genes))
    dense[rng.random(n_cells) < 0.3] = 0
    views = rng.integers(0, n_cells, (n_views, draw(st.integers(1, 8))))
    genes = np.array(draw(st.permutations(range(n_genes)))[: draw(st.integers(0, n_genes))], np.int64)
    return dense.astype(draw(st.sampled_from([np.float32, np.int64]))), Request(views, genes)


@settings(deadline=None, max_examples=200)
@given(cells_and_requests())
def test_a_minibatch_equals_a_loop_over_its_cells(drawn):
    dense, request = drawn
    cells = cells_of(dense)
    minibatch = DeviceCells(cells, CPU).gather(request)
    normalised = normalise(cells.counts, cells.library).toarray()
    for place, cell in enumerate(request.views.ravel()):
        np.testing.assert_array_equal(minibatch.x[place].numpy(), normalised[cell])
    for place, cell in enumerate(request.views[0]):
        np.testing.assert_array_equal(minibatch.counts[place].numpy(), dense[cell, request.genes])
        assert minibatch.library[place] == max(dense[cell].sum(), 1)
    np.testing.assert_array_equal(minibatch.batch.numpy(), cells.batch[request.views])
    np.testing.assert_array_equal(minibatch.genes.numpy(), request.genes)
    assert minibatch.x_transposed is minibatch.rows is minibatch.columns is None
    assert minibatch.x.dtype == minibatch.counts.dtype == minibatch.library.dtype == torch.float32


def test_stored_zeros_are_zeros():
    counts = sp.csr_matrix((np.array([0.0, 2.0], np.float32), np.array([1, 0]), np.array([0, 1, 2])), (2, 2))
    minibatch = DeviceCells(MemoryCells(counts, np.zeros(2, np.int64)), CPU).gather(
        Request(np.array([[0, 1]]), np.arange(2))
    )
    assert minibatch.counts.tolist() == [[0, 0], [2, 0]]


def test_a_minibatch_is_a_copy():
    dense = np.random.default_rng(0).poisson(1.5, (5, 12)).astype(np.float32)
    resident = DeviceCells(cells_of(dense), CPU)
    request = Request(np.arange(5)[None], np.arange(12))
    minibatch = resident.gather(request)
    for values in (minibatch.x, minibatch.counts, minibatch.library):
        values.zero_()
    np.testing.assert_array_equal(resident.gather(request).counts.numpy(), dense)
    assert resident.n_cells == 5


@pytest.mark.parametrize("prototypes", [False, True], ids=["warm_up", "joint"])
def test_the_objective_equals_that_of_a_sparse_minibatch(monkeypatch, prototypes):
    """Dense input and dense counts change only the order of the sums."""
    monkeypatch.setattr("scproto.nn.matmul.trains", lambda _: False)
    rng = np.random.default_rng(1)
    cells = cells_of(rng.poisson(0.05, (40, 30)).astype(np.float32))
    torch.manual_seed(0)
    module = PrototypeModule(30, 3, 5).eval()
    request = Request(rng.integers(0, 40, (2, 16)), rng.permutation(30)[:11])
    found, expected = DeviceCells(cells, CPU).gather(request), gather(cells, request)
    assert expected.x_transposed is not None
    losses = [module.loss(minibatch, prototypes=prototypes).total for minibatch in (found, expected)]
    gradients = [torch.autograd.grad(loss, module.encoder.first.weight)[0] for loss in losses]
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(gradients[0], gradients[1])
